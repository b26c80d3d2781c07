//! Detector configurations as they are in use, on nodes labelled by instrument.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::inputs::{File, files};
use testkit::disk::Tree;
use testkit::fleet::Fleet;
use testkit::law;

/// What belongs to every instrument.
const EVERYWHERE: &str = "everywhere";

impl File {
    /// What stands before the first `-` of its name is its instrument.
    fn instrument(&self) -> &str {
        self.name.split_once('-').map_or(EVERYWHERE, |(instrument, _)| instrument)
    }

    fn id(&self) -> String {
        self.name.replace('.', "_")
    }

    fn put(&self) -> Value {
        let target = match self.instrument() {
            EVERYWHERE => json!({"all": true}),
            instrument => json!({"match_labels": {"instrument": instrument}}),
        };
        json!({
            "type": "put_document", "id": self.id(), "path": format!("detectors/{}", self.name),
            "media_type": "application/json", "content": std::str::from_utf8(&self.content).unwrap(),
            "target": target, "priority": 0,
        })
    }
}

/// What each node must hold of these files.
fn wanted(files: &[File], nodes: &BTreeMap<String, String>) -> BTreeMap<String, Tree> {
    let is_for = |file: &&File, instrument: &str| [instrument, EVERYWHERE].contains(&file.instrument());
    let tree = |instrument: &String| {
        let files = files.iter().filter(|file| is_for(file, instrument));
        files.map(|file| (format!("files/detectors/{}", file.name), file.content.clone())).collect()
    };
    nodes.iter().map(|(node, instrument)| (node.clone(), tree(instrument))).collect()
}

#[tokio::test]
async fn every_node_holds_its_instruments_files_byte_for_byte_and_nothing_else() {
    let mut files = files();
    let mut fleet = Fleet::start().await;
    let instruments: std::collections::BTreeSet<String> =
        files.iter().map(|file| file.instrument().to_owned()).filter(|name| name != EVERYWHERE).collect();
    let mut nodes: BTreeMap<String, String> =
        instruments.iter().map(|name| (format!("{name}-1"), name.clone())).collect();
    nodes.insert("loki-2".into(), "loki".into());
    for (node, instrument) in &nodes {
        fleet.node(node, json!({"instrument": instrument})).await;
    }

    for file in &files {
        fleet.api().accepted(json!({"reason": file.name, "commands": [file.put()]})).await;
    }
    fleet.converges(&wanted(&files, &nodes)).await;

    // What is put comes back from the server as it is.
    let largest = files.iter().max_by_key(|file| file.content.len()).unwrap();
    let shown = fleet.api().get(&format!("/v1/documents/{}/content", largest.id())).await.unwrap();
    assert_eq!(shown.body, serde_json::from_slice::<Value>(&largest.content).unwrap());

    // Every third changes, every fifth is removed: in one request.
    let mut commands = Vec::new();
    for file in files.iter_mut().step_by(3) {
        file.content.extend_from_slice(" \n".as_bytes());
        commands.push(file.put());
    }
    let removed: Vec<String> = files.iter().skip(1).step_by(5).map(File::id).collect();
    commands.extend(removed.iter().map(|id| json!({"type": "remove_document", "id": id})));
    fleet.api().accepted(json!({"reason": "a change of many", "commands": commands})).await;
    files.retain(|file| !removed.contains(&file.id()));
    fleet.converges(&wanted(&files, &nodes)).await;

    // A node that changes its instrument holds that one's files, as if it had always been there.
    fleet
        .api()
        .accepted(json!({"commands": [{"type": "label_node", "id": "loki-2", "labels": {"instrument": "dream"}}]}))
        .await;
    nodes.insert("loki-2".into(), "dream".into());
    fleet.converges(&wanted(&files, &nodes)).await;
    law::holds(&fleet.backends).await;
}
