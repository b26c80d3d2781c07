//! A calibration made on a node: proposed, reviewed, accepted and in force, whoever dies on the way.

use std::fs;

use async_nats::HeaderMap;
use bus::connect::connect_as;
use bus::identity::{BusIdentity, KeyHolder};
use schema::address::{Bucket, Prefix};
use schema::limit::PROPOSAL_MESSAGE_BYTES_MAX;
use schema::permissions::node_inbox;
use schema::say::{SIGNATURE_HEADER, Statement};
use serde_json::{Value, json};
use testkit::proposing::{furnished, learns, listed, propose, runs, waits};

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
    let (_, status) = fleet.run(&["edge", "status", "--dir", fleet.node_dir("a").to_str().unwrap()]).await;
    assert!(status.contains("proposed   1 file without a final verdict"), "{status}");
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

#[tokio::test]
async fn another_server_takes_over_with_open_proposals() {
    let mut fleet = furnished().await;
    fleet.serve("all").await;
    propose(&fleet, "two\n").await;
    listed(&fleet, "open", 1).await;
    drop(fleet.servers.remove(0));
    let open = listed(&fleet, "open", 1).await.remove(0);
    let reject = json!({"type": "reject_proposal", "id": open["id"], "reason": "not with this lamp"});
    fleet.api().accepted(json!({"commands": [reject]})).await;
    learns(&fleet, "rejected").await;
    propose(&fleet, "three\n").await;
    let open = listed(&fleet, "open", 1).await.remove(0);
    fleet.api().accepted(json!({"commands": [{"type": "accept_proposal", "id": open["id"]}]})).await;
    runs(&fleet, "three\n").await;
    learns(&fleet, "accepted").await;
    assert_eq!(listed(&fleet, "rejected", 1).await.len(), 1, "each ended once");
}

#[tokio::test]
async fn what_a_hostile_node_puts_in_its_places_keeps_nobody_from_a_verdict() {
    let mut fleet = furnished().await;
    fleet.node("hostile", json!({})).await;
    let seed = fleet.seed("hostile");
    let identity = BusIdentity::of(seed.bus()).hearing(node_inbox(&"hostile".parse().unwrap()), KeyHolder::Node);
    let link = connect_as(&fleet.backends.nats_url(), &identity, "hostile").await.unwrap();
    link.up().await;
    // Each byte of the text is five in the message of the error.
    let unreadable = rmp_serde::to_vec(&"\u{1}".repeat(PROPOSAL_MESSAGE_BYTES_MAX - 16)).unwrap();
    for (place, message) in [("p0", unreadable), ("p1", b"\x81".to_vec()), ("p2", Vec::new())] {
        let mut headers = HeaderMap::new();
        headers.insert(SIGNATURE_HEADER, Statement::Proposal.sign(&seed.say(), &message));
        let subject = Prefix::default().bucket_subject(Bucket::Proposed, &format!("hostile.{place}"));
        link.jetstream().publish_with_headers(subject, headers, message.into()).await.unwrap().await.unwrap();
    }
    propose(&fleet, "two\n").await;
    let open = listed(&fleet, "open", 1).await.remove(0);
    fleet.api().accepted(json!({"commands": [{"type": "accept_proposal", "id": open["id"]}]})).await;
    learns(&fleet, "accepted").await;
}
