//! A thousand random changes to a fleet with layers: documents at three priorities that override each other, nodes that
//! are relabelled, retired and enrolled again. What each node must hold is said a second time here, by trying all.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::inputs::{File, files};
use testkit::disk::Tree;
use testkit::fleet::Fleet;
use testkit::law;

type LabelPairs = BTreeMap<&'static str, &'static str>;

const CHANGES: usize = 1_000;
/// The disks are compared this often on the way, and at the end.
const COMPARE_EVERY: usize = 125;
const NODES: usize = 6;
const DOCUMENTS: usize = 40;
const KEYS: [(&str, [&str; 3]); 3] = [
    ("instrument", ["loki", "dream", "bifrost"]),
    ("site", ["lund", "copenhagen", "grenoble"]),
    ("role", ["daq", "analysis", "archive"]),
];

/// A document as the test knows it.
struct Document {
    path: String,
    /// It is for the nodes that have all of these.
    labels: LabelPairs,
    priority: i32,
    content: Vec<u8>,
}

/// The fleet as the test knows it. A node without labels is retired.
struct Known {
    random: Rng,
    files: Vec<File>,
    nodes: BTreeMap<String, Option<LabelPairs>>,
    documents: BTreeMap<String, Document>,
}

impl Known {
    /// A random change: what to ask for, after taking it in.
    fn change(&mut self, round: usize) -> Value {
        match self.random.u8(..100) {
            0..60 => self.put(round),
            60..74 => self.remove(),
            74..90 => self.relabel(),
            90..95 => self.retire(),
            _ => self.enrol(),
        }
    }

    fn put(&mut self, round: usize) -> Value {
        let id = format!("doc-{}", self.random.usize(..DOCUMENTS));
        let file = &self.files[self.random.usize(..self.files.len())];
        let mut content = file.content.clone();
        content.extend_from_slice(format!("\n{round}\n").as_bytes());
        let path = format!("detectors/{}.json", self.random.u8(..10));
        let labels = some(&mut self.random);
        let priority = [0, 10, 20][self.random.usize(..3)];
        let target = if labels.is_empty() { json!({"all": true}) } else { json!({"match_labels": labels}) };
        let put = json!({
            "type": "put_document", "id": id, "path": path, "media_type": "text/plain", "target": target,
            "content": std::str::from_utf8(&content).unwrap(), "priority": priority,
        });
        self.documents.insert(id, Document { path, labels, priority, content });
        put
    }

    fn remove(&mut self) -> Value {
        let Some(id) = self.random.choice(self.documents.keys().cloned().collect::<Vec<_>>()) else {
            return self.relabel();
        };
        self.documents.remove(&id);
        json!({"type": "remove_document", "id": id})
    }

    fn relabel(&mut self) -> Value {
        let Some(id) = self.pick(|labels| labels.is_some()) else { return self.enrol() };
        let labels = all(&mut self.random);
        self.nodes.insert(id.clone(), Some(labels.clone()));
        json!({"type": "label_node", "id": id, "labels": labels})
    }

    fn retire(&mut self) -> Value {
        let Some(id) = self.pick(|labels| labels.is_some()) else { return self.enrol() };
        self.nodes.insert(id.clone(), None);
        json!({"type": "retire_node", "id": id})
    }

    fn enrol(&mut self) -> Value {
        let Some(id) = self.pick(|labels| labels.is_none()) else { return self.relabel() };
        let labels = all(&mut self.random);
        self.nodes.insert(id.clone(), Some(labels.clone()));
        json!({"type": "enrol_node", "id": id, "labels": labels})
    }

    fn pick(&mut self, fits: impl Fn(&Option<LabelPairs>) -> bool) -> Option<String> {
        let fitting: Vec<String> =
            self.nodes.iter().filter(|(_, labels)| fits(labels)).map(|(id, _)| id.clone()).collect();
        self.random.choice(fitting)
    }

    /// What every node must hold: at each path the highest priority, then the greatest id.
    fn wanted(&self) -> BTreeMap<String, Tree> {
        self.nodes.iter().map(|(id, labels)| (id.clone(), self.tree(labels.as_ref()))).collect()
    }

    fn tree(&self, labels: Option<&LabelPairs>) -> Tree {
        let Some(labels) = labels else { return Tree::new() };
        let mut winners: BTreeMap<&str, ((i32, &str), &Document)> = BTreeMap::new();
        for (id, document) in &self.documents {
            if document.labels.iter().all(|(key, value)| labels.get(key) == Some(value)) {
                let rank = (document.priority, id.as_str());
                let winner = winners.entry(&document.path).or_insert((rank, document));
                if rank >= winner.0 {
                    *winner = (rank, document);
                }
            }
        }
        winners.into_iter().map(|(path, (_, document))| (format!("files/{path}"), document.content.clone())).collect()
    }
}

fn all(random: &mut Rng) -> LabelPairs {
    KEYS.iter().map(|(key, values)| (*key, values[random.usize(..values.len())])).collect()
}

fn some(random: &mut Rng) -> LabelPairs {
    let mut labels = all(random);
    labels.retain(|_, _| random.u8(..100) < 45);
    labels
}

#[tokio::test]
async fn after_a_thousand_random_changes_every_file_is_what_trying_all_says() {
    let seed = std::env::var("HEADWATER_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
    println!("seed {seed}: HEADWATER_SEED={seed} tells this story again");
    let mut fleet = Fleet::start().await;
    let mut known =
        Known { random: Rng::with_seed(seed), files: files(), nodes: BTreeMap::new(), documents: BTreeMap::new() };
    for number in 1..=NODES {
        let (id, labels) = (format!("node-{number}"), all(&mut known.random));
        fleet.node(&id, json!(labels)).await;
        known.nodes.insert(id, Some(labels));
    }

    let mut compared = 0;
    let mut made = 0;
    while made < CHANGES {
        let size = known.random.usize(1..=12).min(CHANGES - made);
        let commands: Vec<Value> = (made..made + size).map(|round| known.change(round)).collect();
        fleet.api().accepted(json!({"reason": format!("changes from {made}"), "commands": commands})).await;
        made += size;
        if made / COMPARE_EVERY > compared {
            compared = made / COMPARE_EVERY;
            fleet.converges(&known.wanted()).await;
        }
    }
    fleet.converges(&known.wanted()).await;
    let log = law::holds(&fleet.backends).await;
    assert!(log.len() > CHANGES / 2, "most changes change something, but only {} events came of {CHANGES}", log.len());
}
