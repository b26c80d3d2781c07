//! A node that proposes a file: what it says, what the server shows of it, and what the node learns.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::eventually::eventually;
use crate::fleet::Fleet;

/// How long anything may take that happens by itself.
const SOON: Duration = Duration::from_secs(60);

/// A fleet of one node that runs one document.
pub async fn furnished() -> Fleet {
    let mut fleet = Fleet::with_identities().await;
    fleet.node("a", json!({})).await;
    let put = json!({"type": "put_document", "id": "gain", "path": "daq/gain", "media_type": "text/plain", "content": "one\n",
        "target": {"all": true}, "priority": 0});
    fleet.api().accepted(json!({"commands": [put]})).await;
    runs(&fleet, "one\n").await;
    fleet
}

/// The node runs this.
pub async fn runs(fleet: &Fleet, content: &str) {
    let path = fleet.node_dir("a").join("current/files/daq/gain");
    eventually("the node runs it", SOON, async || match fs::read_to_string(&path) {
        Ok(text) if text == content => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

/// Proposes a file on the node.
pub async fn propose(fleet: &Fleet, content: &str) {
    let (dir, file) = (fleet.node_dir("a"), fleet.node_dir("a").with_extension("new"));
    fs::write(&file, content).unwrap();
    let paths = [dir.to_str().unwrap(), file.to_str().unwrap()];
    let (code, said) = fleet
        .run(&["edge", "propose", "daq/gain", "--dir", paths[0], "--replace", paths[1], "--reason", "lamp changed"])
        .await;
    assert_eq!(code, Some(0), "{said}");
}

/// The proposals that the server shows, once there are so many in this state.
pub async fn listed(fleet: &Fleet, state: &str, count: usize) -> Vec<Value> {
    let mut found = Vec::new();
    eventually("the server shows the proposals", SOON, async || {
        let answer = fleet.api().get(&format!("/v1/proposals?state={state}")).await?;
        let items = answer.body["items"].as_array().cloned().unwrap_or_default();
        if items.len() == count { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
    let answer = fleet.api().get(&format!("/v1/proposals?state={state}")).await.unwrap();
    found.extend(answer.body["items"].as_array().cloned().unwrap_or_default());
    found
}

/// How many files wait in the outbox.
pub fn waits(dir: &Path) -> usize {
    fs::read_dir(dir.join("outbox")).map_or(0, Iterator::count)
}

/// The outbox is empty, and the node knows what became of its last proposal.
pub async fn learns(fleet: &Fleet, state: &str) -> Value {
    let dir = fleet.node_dir("a");
    eventually("the node learns what became of it", SOON, async || {
        let text = fs::read(dir.join("proposals.json")).map_err(|error| error.to_string())?;
        let history: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        let last = history["proposals"].as_array().and_then(|all| all.last().cloned()).unwrap_or_default();
        if waits(&dir) == 0 && last["verdict"]["state"] == state { Ok(()) } else { Err(last.to_string()) }
    })
    .await;
    let history: Value = serde_json::from_slice(&fs::read(dir.join("proposals.json")).unwrap()).unwrap();
    history["proposals"].as_array().unwrap().last().unwrap()["verdict"].clone()
}
