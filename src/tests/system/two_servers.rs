//! Two servers on one log: both answer over HTTP, one relays, and whoever was away does no harm when it comes back.

use std::time::Duration;

use serde_json::json;

use testkit::disk::Tree;
use testkit::eventually::eventually;
use testkit::fleet::Fleet;
use testkit::law;
use testkit::load::Load;

/// How long anything may take that happens by itself.
const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn two_servers_that_both_take_commands_keep_one_log() {
    let mut fleet = Fleet::start().await;
    fleet.node("a", json!({})).await;
    fleet.serve("all").await;
    let apis = [fleet.servers[0].api.clone(), fleet.servers[1].api.clone()];
    let load = Load::begin(fastrand::u64(..), &apis, "a");
    eventually("both have been at it", SOON, async || {
        let log = law::table(&fleet.backends.database()).await?;
        if log.len() > 500 { Ok(()) } else { Err(format!("{} events", log.len())) }
    })
    .await;
    let outcome = load.end().await;
    for api in &apis {
        fleet.converges_seen_by(api, &[("a".to_owned(), outcome.tree())].into()).await;
    }
    outcome.is_true_of(&law::holds(&fleet.backends).await);
    println!("{} requests answered, the longest pause {:?}", outcome.answered(), outcome.pause);

    // What one has taken the other shows, to whoever asks for at least that.
    let put = json!({"type": "enrol_node", "id": "later", "labels": {}});
    let answer = apis[0].accepted(json!({"commands": [put]})).await;
    let shown = apis[1].get(&format!("/v1/nodes/later?min_position={}", answer["position"])).await.unwrap();
    assert_eq!(shown.status, 200, "{shown:?}");

    // Both know what is published, and one of them does it.
    for (api, relay) in apis.iter().zip(["following", "standby"]) {
        eventually("it knows what is published", SOON, async || match api.get("/v1/log").await? {
            log if log.body["published"] == log.body["position"] && log.body["relay"] == relay => Ok(()),
            log => Err(format!("{log:?}")),
        })
        .await;
    }

    // Both end well when asked.
    for server in &mut fleet.servers {
        assert!(server.process.stop().await);
    }
}

#[tokio::test]
async fn a_door_and_a_reconciler_apart_are_one_server() {
    let mut fleet = Fleet::start().await;
    fleet.serve("door").await;
    assert!(fleet.servers[0].process.stop().await);
    // A server takes commands also while nobody relays.
    let api = fleet.servers[1].api.clone();
    let put = json!({
        "type": "put_document", "id": "x", "path": "x", "media_type": "text/plain", "content": "x",
        "target": {"all": true}, "priority": 0,
    });
    api.accepted(json!({"commands": [{"type": "enrol_node", "id": "a", "labels": {}}, put]})).await;
    fleet.start_agent("a");
    fleet.serve("reconciler").await;
    let want = [("a".to_owned(), Tree::from([("files/x".to_owned(), b"x".to_vec())]))].into();
    fleet.converges_seen_by(&api, &want).await;
    law::holds(&fleet.backends).await;
}
