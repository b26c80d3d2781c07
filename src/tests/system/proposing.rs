//! A calibration made on a node: proposed, reviewed, accepted and in force, whoever dies on the way.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually::eventually;
use testkit::fleet::Fleet;

/// How long anything may take that happens by itself.
const SOON: Duration = Duration::from_secs(60);

/// A fleet of one node that runs one document.
async fn furnished() -> Fleet {
    let mut fleet = Fleet::with_identities().await;
    fleet.node("a", json!({})).await;
    let put = json!({"type": "put_document", "id": "gain", "path": "daq/gain", "media_type": "text/plain", "content": "one\n",
        "target": {"all": true}, "priority": 0});
    fleet.api().accepted(json!({"commands": [put]})).await;
    runs(&fleet, "one\n").await;
    fleet
}

async fn runs(fleet: &Fleet, content: &str) {
    let path = fleet.node_dir("a").join("current/files/daq/gain");
    eventually("the node runs it", SOON, async || match fs::read_to_string(&path) {
        Ok(text) if text == content => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

/// Proposes a file on the node.
async fn propose(fleet: &Fleet, content: &str) {
    let (dir, file) = (fleet.node_dir("a"), fleet.node_dir("a").with_extension("new"));
    fs::write(&file, content).unwrap();
    let paths = [dir.to_str().unwrap(), file.to_str().unwrap()];
    let (code, said) = fleet
        .run(&["edge", "propose", "daq/gain", "--dir", paths[0], "--replace", paths[1], "--reason", "lamp changed"])
        .await;
    assert_eq!(code, Some(0), "{said}");
}

/// The proposals that the server shows, once there are so many in this state.
async fn listed(fleet: &Fleet, state: &str, count: usize) -> Vec<Value> {
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

fn waits(dir: &Path) -> usize {
    fs::read_dir(dir.join("outbox")).map_or(0, Iterator::count)
}

/// The outbox is empty, and the node knows what became of its last proposal.
async fn learns(fleet: &Fleet, state: &str) -> Value {
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

#[tokio::test]
async fn a_calibration_is_proposed_reviewed_accepted_and_in_force() {
    let fleet = furnished().await;
    propose(&fleet, "two\n").await;
    let open = listed(&fleet, "open", 1).await.remove(0);
    assert_eq!((&open["reason"], &open["stale"]), (&json!("lamp changed"), &json!(false)));
    let id = open["id"].as_str().unwrap();
    let shown = fleet.api().get(&format!("/v1/proposals/{id}")).await.unwrap().body;
    assert!(shown["unified"].as_str().unwrap().ends_with("-one\n+two\n"), "{shown}");
    assert_eq!(waits(&fleet.node_dir("a")), 1, "it waits until somebody decides");
    fleet.api().accepted(json!({"commands": [{"type": "accept_proposal", "id": id}]})).await;
    runs(&fleet, "two\n").await;
    let verdict = learns(&fleet, "accepted").await;
    assert_eq!(verdict["by"], "admin");
    let (code, said) = fleet.run(&["edge", "proposals", "--dir", fleet.node_dir("a").to_str().unwrap()]).await;
    assert!(code == Some(0) && said.contains(id) && said.contains("accepted"), "{said}");
}

#[tokio::test]
async fn a_node_takes_its_proposal_back() {
    let fleet = furnished().await;
    propose(&fleet, "two\n").await;
    listed(&fleet, "open", 1).await;
    let outbox = fleet.node_dir("a").join("outbox");
    let path = fs::read_dir(&outbox).unwrap().next().unwrap().unwrap().path();
    let mut file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    file["withdrawn"] = json!(true);
    fs::write(&path, file.to_string()).unwrap();
    assert_eq!(learns(&fleet, "withdrawn").await["by"], "node/a");
}

#[tokio::test]
async fn what_was_proposed_without_network_and_across_restarts_ends_once() {
    let mut fleet = furnished().await;
    fleet.agents.get_mut("a").unwrap().process.kill();
    propose(&fleet, "two\n").await;
    fleet.agents.get_mut("a").unwrap().process.start_again();
    let open = listed(&fleet, "open", 1).await.remove(0);
    fleet.agents.get_mut("a").unwrap().process.kill();
    let reject = json!({"type": "reject_proposal", "id": open["id"], "reason": "not with this lamp"});
    fleet.api().accepted(json!({"commands": [reject]})).await;
    fleet.servers[0].process.kill();
    fleet.servers[0].process.start_again();
    fleet.api().ready().await;
    fleet.agents.get_mut("a").unwrap().process.start_again();
    let verdict = learns(&fleet, "rejected").await;
    assert_eq!((&verdict["by"], &verdict["reason"]), (&json!("admin"), &json!("not with this lamp")));
    assert_eq!(listed(&fleet, "rejected", 1).await.len(), 1);
}
