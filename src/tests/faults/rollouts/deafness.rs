//! Servers that can't hear: NATS is away, or the server that leads stands still. Nobody is called a failure for it.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::backends::TestBackends;
use testkit::eventually::eventually;
use testkit::law;
use testkit::rollouts::{RolloutFleet, RolloutFleetSize, canary};
use testkit::tree_observer::{at_of, now};

use super::{GOOD, SOON, failures, leader, long_form, number, seeded};
use crate::story::is_long;

/// The shortest time that a node may be given to confirm.
const SETTLE_S: u64 = 10;
/// The agents take a moment to check the change, so that some are in flight.
const SLOW_CHECK: [&str; 2] = ["--check", "! grep -q good {}/files/etc/motd || sleep 3"];

/// How long a server can't hear: longer than a node has to confirm.
fn deaf() -> Duration {
    Duration::from_secs(if is_long() { 40 } else { SETTLE_S + 2 })
}

/// Ends a scenario: all nodes have confirmed, none was ever called a failure, nothing happened twice.
async fn all_confirmed(staged: RolloutFleet, nodes: usize) -> Vec<Value> {
    let promoted = staged.gets("good", "promoted").await;
    assert_eq!(promoted["counts"]["confirmed"], nodes, "{promoted}");
    staged.runs_everywhere(GOOD).await;
    law::holds(&staged.fleet.backends).await;
    staged.laws_hold().await;
    let events = staged.events("good").await;
    assert!(events.iter().all(|event| event["type"] != "NodesOverdue"), "nobody was late or lost: {events:?}");
    let sightings = staged.observer.end();
    assert_eq!(sightings.came_after_their_events(&events, GOOD).len(), nodes);
    events
}

async fn has_in_flight(staged: &RolloutFleet) -> Value {
    staged.becomes("good", "has nodes in flight", |shown| number(shown, "/in_flight") > 0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_is_away_in_a_bake_and_in_a_release() {
    let Some(_) = long_form("nats_is_away_in_a_bake_and_in_a_release") else { return };
    let size = RolloutFleetSize { servers: 1, nodes: 6, canaries: 1 };
    let mut staged = RolloutFleet::start(TestBackends::start().await, size, &SLOW_CHECK).await;
    let policy = json!({"max_in_flight": 2, "settle_s": SETTLE_S, "stages": [canary(8)]});
    staged.begins("good", policy, GOOD).await;

    // In the bake of the canary, for longer than it bakes.
    staged.becomes("good", "bakes", |shown| shown["waiting"]["for"] == "bake").await;
    staged.fleet.backends.nats.stop().await.unwrap();
    tokio::time::sleep(deaf()).await;
    let returned = now();
    staged.fleet.backends.nats.start_again().await.unwrap();

    // In a release, for longer than a node has to confirm.
    staged.becomes("good", "is in its last stage", |shown| shown["stage"] == "rest").await;
    has_in_flight(&staged).await;
    staged.fleet.backends.nats.stop().await.unwrap();
    tokio::time::sleep(deaf()).await;
    let shown = staged.shown("good").await.unwrap();
    assert_eq!((&shown["status"], failures(&shown)), (&json!("running"), 0), "{shown}");
    staged.fleet.backends.nats.start_again().await.unwrap();

    let events = all_confirmed(staged, size.nodes).await;
    let passed = events.iter().find(|event| event["type"] == "StagePassed").map(at_of).unwrap();
    assert!(
        passed >= returned.plus_seconds(8),
        "what bakes unheard is not proven: {passed}, and NATS was back at {returned}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_frozen_while_nodes_confirm() {
    let mut rng = seeded("the_server_is_frozen_while_nodes_confirm");
    let size = RolloutFleetSize { servers: 1, nodes: 3, canaries: 0 };
    let staged = RolloutFleet::start(TestBackends::start().await, size, &SLOW_CHECK).await;
    let policy = json!({"max_in_flight": 3, "settle_s": SETTLE_S, "stages": [{"name": "rest", "bake_s": 1}]});
    staged.begins("good", policy, GOOD).await;
    let shown = staged.becomes("good", "has three in flight", |shown| number(shown, "/in_flight") == 3).await;
    eventually("nodes can read what they were released to", SOON, async || {
        let log = staged.api.get("/v1/log").await?.body;
        if log["published"].as_u64() >= shown["position"].as_u64() { Ok(()) } else { Err(log.to_string()) }
    })
    .await;
    // The server has noticed by then since when they are in flight.
    tokio::time::sleep(Duration::from_millis(rng.u64(600..1_500))).await;
    staged.fleet.servers[0].process.freeze(true);
    // Its nodes confirm meanwhile, and nobody hears it.
    tokio::time::sleep(deaf()).await;
    for node in staged.fleet.agents.keys() {
        assert!(staged.runs(node, GOOD), "{node} did not wait for the server");
    }
    staged.fleet.servers[0].process.freeze(false);
    all_confirmed(staged, size.nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leading_server_of_two_is_frozen_in_a_rollout_and_comes_back() {
    let Some(mut rng) = long_form("the_leading_server_of_two_is_frozen_in_a_rollout_and_comes_back") else { return };
    let size = RolloutFleetSize { servers: 2, nodes: 12, canaries: 2 };
    let mut staged = RolloutFleet::start(TestBackends::start().await, size, &SLOW_CHECK).await;
    // Found out sooner than in earnest.
    let url = staged.fleet.backends.database();
    law::execute(&url, "ALTER SYSTEM SET wal_sender_timeout = '3s'").await;
    law::execute(&url, "SELECT pg_reload_conf()").await;
    // Without the approval all would be over before the first server is back.
    let middle = json!({"name": "middle", "up_to": {"percent": 50}, "bake_s": 1, "gate": "approval"});
    let policy = json!({"max_in_flight": 1, "settle_s": SETTLE_S, "stages": [canary(1), middle]});
    staged.begins("good", policy, GOOD).await;
    let apis: Vec<_> = staged.fleet.servers.iter().map(|server| server.api.clone()).collect();
    for stage in ["canary", "rest"] {
        if stage == "rest" {
            staged.becomes("good", "is to be approved", |shown| shown["waiting"]["for"] == "approval").await;
            let approve = json!({"type": "approve_stage", "id": "good", "stage": "middle"});
            staged.api.accepted(json!({"commands": [approve]})).await;
        }
        staged.becomes("good", "is in that stage", |shown| shown["stage"] == stage).await;
        has_in_flight(&staged).await;
        let leading = leader(&apis).await;
        tokio::time::sleep(Duration::from_millis(rng.u64(..500))).await;
        staged.api = apis[1 - leading].clone();
        let frozen = &staged.fleet.servers[leading].process;
        frozen.freeze(true);
        let released = number(&staged.shown("good").await.unwrap(), "/released");
        let goes_on = |shown: &Value| number(shown, "/released") > released;
        staged.becomes("good", "goes on by the other server", goes_on).await;
        tokio::time::sleep(deaf()).await;
        frozen.freeze(false);
        eventually("the server that was frozen stands by", SOON, async || {
            let log = apis[leading].get("/v1/log").await?.body;
            if log["relay"] == "standby" { Ok(()) } else { Err(log.to_string()) }
        })
        .await;
    }
    all_confirmed(staged, size.nodes).await;
}
