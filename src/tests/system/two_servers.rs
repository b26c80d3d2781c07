//! Two servers on one log: both doors are open, one relays, and whoever was away does no harm when it comes back.

use std::time::Duration;

use serde_json::json;

use crate::disk::Tree;
use crate::eventually::eventually;
use crate::fleet::Fleet;
use crate::law;
use crate::load::Load;

/// How long anything may take that happens by itself.
const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn two_servers_that_both_take_commands_keep_one_log() {
    let mut fleet = Fleet::start().await;
    fleet.node("a", json!({})).await;
    fleet.serve("all").await;
    let doors = [fleet.servers[0].door.clone(), fleet.servers[1].door.clone()];
    let load = Load::begin(&doors, "a");
    eventually("both have been at it", SOON, async || {
        let log = law::table(&fleet.ground.database()).await?;
        if log.len() > 500 { Ok(()) } else { Err(format!("{} events", log.len())) }
    })
    .await;
    let outcome = load.end().await;
    for door in &doors {
        fleet.converges_seen_by(door, &[("a".to_owned(), outcome.tree())].into()).await;
    }
    outcome.is_true_of(&law::holds(&fleet.ground).await);

    // What one has taken the other shows, to whoever asks for at least that.
    let put = json!({"type": "enrol_node", "id": "later", "labels": {}});
    let answer = doors[0].accepted(json!({"commands": [put]})).await;
    let shown = doors[1].get(&format!("/v1/nodes/later?min_position={}", answer["position"])).await.unwrap();
    assert_eq!(shown.status, 200, "{shown:?}");

    // Both know what is published, and one of them does it.
    for (door, relay) in doors.iter().zip(["following", "standby"]) {
        eventually("it knows what is published", SOON, async || match door.get("/v1/log").await? {
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
    // A door takes commands also while nobody relays.
    let door = fleet.servers[1].door.clone();
    let put = json!({
        "type": "put_document", "id": "x", "path": "x", "media_type": "text/plain", "content": "x",
        "target": {"all": true}, "priority": 0,
    });
    door.accepted(json!({"commands": [{"type": "enrol_node", "id": "a", "labels": {}}, put]})).await;
    fleet.edge("a");
    fleet.serve("reconciler").await;
    let want = [("a".to_owned(), Tree::from([("files/x".to_owned(), b"x".to_vec())]))].into();
    fleet.converges_seen_by(&door, &want).await;
    law::holds(&fleet.ground).await;
}

#[tokio::test]
async fn an_active_server_that_was_frozen_comes_back_too_late_and_does_no_harm() {
    let mut fleet = Fleet::start().await;
    fleet.node("a", json!({})).await;
    fleet.serve("all").await;
    // Found out sooner than in earnest.
    law::execute(&fleet.ground.database(), "ALTER SYSTEM SET wal_sender_timeout = '3s'").await;
    law::execute(&fleet.ground.database(), "SELECT pg_reload_conf()").await;
    let doors = [fleet.servers[0].door.clone(), fleet.servers[1].door.clone()];
    let load = Load::begin(&doors, "a");
    let published = async |door: &crate::door::Door| {
        let log = door.get("/v1/log").await?;
        log.body["published"].as_u64().ok_or_else(|| format!("{log:?}"))
    };
    let relays =
        async |door: &crate::door::Door| door.get("/v1/log").await.is_ok_and(|log| log.body["relay"] == "following");
    eventually("the first publishes", SOON, async || match published(&doors[0]).await? {
        51.. => Ok(()),
        few => Err(format!("{few} events")),
    })
    .await;
    for _ in 0..2 {
        let active = usize::from(!relays(&doors[0]).await);
        fleet.servers[active].process.freeze(true);
        let from = law::table(&fleet.ground.database()).await.unwrap().len() as u64;
        eventually("the other publishes on", SOON, async || match published(&doors[1 - active]).await? {
            position if position > from + 20 => Ok(()),
            position => Err(format!("{position} after {from}")),
        })
        .await;
        fleet.servers[active].process.freeze(false);
    }
    let outcome = load.end().await;
    fleet.converges_seen_by(&doors[1], &[("a".to_owned(), outcome.tree())].into()).await;
    outcome.is_true_of(&law::holds(&fleet.ground).await);
}
