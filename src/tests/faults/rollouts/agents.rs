//! Agents that end in the middle of a change: what runs counts as confirmed only once the operator's hook has said yes.

use std::fs;
use std::path::PathBuf;

use program::failpoints;
use serde_json::{Value, json};
use testkit::backends::TestBackends;
use testkit::eventually::eventually;
use testkit::rollouts::{OLD, RolloutFleet, RolloutFleetSize, canary};
use testkit::tree_observer::{at_of, now};

use super::{BAD, GOOD, SOON, failures, long_form, number};
use crate::places::{arm, ends};

/// The hook of a new content waits until the node's folder has a file `yes`, or `no`.
const HOOK: &str = "grep -q old {}/files/etc/motd && exit 0; d={}/../..; \
                    while :; do [ -e $d/yes ] && exit 0; [ -e $d/no ] && exit 1; sleep 0.05; done";
const NODE: &str = "n-01";

async fn started(canaries: usize) -> RolloutFleet {
    let size = RolloutFleetSize { servers: 1, nodes: 3, canaries };
    let staged = RolloutFleet::start(TestBackends::start().await, size, &["--apply", HOOK]).await;
    for node in staged.fleet.agents.keys().filter(|node| *node != NODE) {
        fs::write(staged.fleet.node_dir(node).join("yes"), "").unwrap();
    }
    staged
}

fn word(staged: &RolloutFleet, word: &str) -> PathBuf {
    staged.fleet.node_dir(NODE).join(word)
}

/// Begins a rollout, and waits until the agent has ended between the switch and the hook.
async fn ends_before_the_hook(staged: &mut RolloutFleet, id: &str, policy: Value, content: &str) {
    arm(&staged.fleet, &format!("edge-{NODE}"), failpoints::APPLY_SWITCHED);
    staged.begins(id, policy, content).await;
    ends(&mut staged.fleet.agents.get_mut(NODE).unwrap().process, failpoints::APPLY_SWITCHED).await;
    assert!(staged.runs(NODE, content), "it ended after the switch");
}

/// Starts the agent again, and waits until the server has heard that the hook was not asked to the end.
async fn comes_back(staged: &mut RolloutFleet) {
    staged.fleet.agents.get_mut(NODE).unwrap().process.start_again();
    eventually("the server hears that the hook has not said yes", SOON, async || {
        let node = staged.api.get(&format!("/v1/nodes/{NODE}")).await?.body;
        if node["reason"]["code"] == "not_good_yet" { Ok(()) } else { Err(node.to_string()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_killed_between_the_switch_and_the_hook() {
    let mut staged = started(1).await;
    let policy = json!({"max_in_flight": 2, "settle_s": 60, "stages": [canary(1)]});
    ends_before_the_hook(&mut staged, "good", policy, GOOD).await;
    comes_back(&mut staged).await;
    let shown = staged.shown("good").await.unwrap();
    assert_eq!((number(&shown, "/counts/confirmed"), number(&shown, "/in_flight")), (0, 1), "{shown}");
    let said_yes = now();
    fs::write(word(&staged, "yes"), "").unwrap();
    let promoted = staged.gets("good", "promoted").await;
    assert_eq!(promoted["counts"]["confirmed"], 3, "{promoted}");
    staged.runs_everywhere(GOOD).await;

    staged.laws_hold().await;
    let events = staged.events("good").await;
    let passed = events.iter().find(|event| event["type"] == "StagePassed").map(at_of).unwrap();
    assert!(passed >= said_yes, "the canary passed at {passed}, and its hook said yes at {said_yes}");
    assert_eq!(staged.observer.end().came_after_their_events(&events, GOOD).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hook_says_no_after_its_agent_was_killed() {
    let Some(_) = long_form("the_hook_says_no_after_its_agent_was_killed") else { return };
    let mut staged = started(1).await;
    let policy = json!({"max_in_flight": 2, "settle_s": 60, "stages": [canary(1)]});
    ends_before_the_hook(&mut staged, "bad", policy, BAD).await;
    comes_back(&mut staged).await;
    fs::write(word(&staged, "no"), "").unwrap();
    let halted = staged.gets("bad", "halted").await;
    let counts = ["/counts/confirmed", "/counts/failed", "/released"].map(|count| number(&halted, count));
    assert_eq!(counts, [0, 1, 1], "{halted}");
    staged.api.accepted(json!({"commands": [{"type": "abort_rollout", "id": "bad"}]})).await;
    staged.runs_everywhere(OLD).await;

    staged.laws_hold().await;
    let events = staged.events("bad").await;
    let sightings = staged.observer.end();
    assert_eq!(sightings.came_after_their_events(&events, BAD).into_iter().collect::<Vec<_>>(), [NODE]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_was_killed_before_its_hook_comes_back_late() {
    let Some(_) = long_form("an_agent_that_was_killed_before_its_hook_comes_back_late") else { return };
    let mut staged = started(2).await;
    let policy = json!({"max_in_flight": 2, "settle_s": 10, "max_failures": {"count": 1}, "stages": [canary(15)]});
    ends_before_the_hook(&mut staged, "good", policy, GOOD).await;
    let late = staged.becomes("good", "counts a failure", |shown| failures(shown) == 1).await;
    assert_eq!((&late["status"], number(&late, "/counts/confirmed")), (&json!("running"), 1), "{late}");
    comes_back(&mut staged).await;
    let shown = staged.shown("good").await.unwrap();
    assert_eq!((failures(&shown), number(&shown, "/counts/confirmed")), (1, 1), "its hook has not said yes: {shown}");
    fs::write(word(&staged, "yes"), "").unwrap();
    // Its own confirmation takes the failure off.
    let promoted = staged.gets("good", "promoted").await;
    assert_eq!((failures(&promoted), number(&promoted, "/counts/confirmed")), (0, 3), "{promoted}");
    staged.runs_everywhere(GOOD).await;

    staged.laws_hold().await;
    let events = staged.events("good").await;
    assert!(staged.observer.end().came_after_their_events(&events, GOOD).len() == 3);
}
