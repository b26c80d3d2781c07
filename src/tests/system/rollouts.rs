//! Rollouts on real servers: nodes get a change stage by stage, and none of them before an event has named it.

use serde_json::{Value, json};
use testkit::backends::TestBackends;
use testkit::rollouts::{OLD, RolloutFleet, RolloutFleetSize, canary, puts};
use testkit::tree_observer::released;

const GOOD: &str = "good\n";
const BAD: &str = "bad\n";
const CANARY: &str = "n-01";

fn policy(max_in_flight: u32) -> Value {
    json!({"max_in_flight": max_in_flight, "settle_s": 40, "stages": [canary(1)]})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_reaches_nodes_stage_by_stage_and_a_bad_one_only_the_canary() {
    let size = RolloutFleetSize { servers: 1, nodes: 5, canaries: 1 };
    let check = ["--check", "! grep -q bad {}/files/etc/motd"];
    let staged = RolloutFleet::start(TestBackends::with_identities().await, size, &check).await;
    staged.begins("good", policy(2), GOOD).await;
    let promoted = staged.gets("good", "promoted").await;
    assert_eq!(promoted["counts"]["confirmed"], 5, "{promoted}");
    staged.runs_everywhere(GOOD).await;

    staged.begins("bad", policy(2), BAD).await;
    let halted = staged.gets("bad", "halted").await;
    assert_eq!(halted["waiting"], json!({"for": "halted", "nodes": [CANARY], "more": 0}), "{halted}");
    assert_eq!((&halted["released"], &halted["failures"]["failed"]), (&json!(1), &json!(1)), "{halted}");
    let plain = staged.api.post(&json!({"commands": puts("better\n", None)}), None).await.unwrap();
    assert_eq!((plain.status, plain.code()), (409, "rollout_open"), "{plain:?}");
    staged.api.accepted(json!({"reason": "it is bad", "commands": [{"type": "abort_rollout", "id": "bad"}]})).await;
    staged.runs_everywhere(GOOD).await;
    let again = staged.api.post(&json!({"commands": puts(BAD, None)}), None).await.unwrap();
    assert_eq!((again.status, again.code()), (409, "revision_aborted"), "{again:?}");
    let aborted = staged.shown("bad").await.unwrap();
    assert_eq!(aborted["ended"]["reason"], "it is bad", "{aborted}");

    staged.laws_hold().await;
    let (good, bad) = (staged.events("good").await, staged.events("bad").await);
    let sightings = staged.observer.end();
    assert_eq!(sightings.nodes_with(OLD).len(), 5);
    assert_eq!(sightings.came_after_their_events(&good, GOOD).len(), 5);
    let released_at = released(&good);
    let others = released_at.iter().filter(|(node, _)| *node != CANARY);
    assert!(others.into_iter().all(|(_, at)| *at > released_at[CANARY]), "the canary is the first: {released_at:?}");
    assert!(sightings.nodes_with(BAD).is_empty(), "no check let it through: {sightings:?}");
    assert_eq!(released(&bad).into_keys().collect::<Vec<_>>(), [CANARY], "only the canary");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_goes_on_with_a_rollout_where_the_first_one_was_killed() {
    let size = RolloutFleetSize { servers: 2, nodes: 5, canaries: 1 };
    let mut staged = RolloutFleet::start(TestBackends::with_identities().await, size, &[]).await;
    staged.begins("good", policy(1), GOOD).await;
    staged.becomes("good", "has released a second node", |shown| shown["released"].as_u64() >= Some(2)).await;
    staged.fleet.servers[0].process.kill();
    let promoted = staged.gets("good", "promoted").await;
    assert_eq!(promoted["counts"]["confirmed"], 5, "{promoted}");
    staged.runs_everywhere(GOOD).await;
    staged.laws_hold().await;
    let events = staged.events("good").await;
    assert_eq!(staged.observer.end().came_after_their_events(&events, GOOD).len(), 5);
    assert_eq!(events.iter().filter(|event| event["type"] == "StagePassed").count(), 2);
}
