//! Rollouts while something fails: no node has a change before an event names it, nothing happens twice, and nobody is called a failure
//! because a server could not hear.
//!
//! The long forms run in `make faults` alone, and say so elsewhere.

mod agents;
mod deafness;

use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};
use testkit::backends::TestBackends;
use testkit::eventually::eventually;
use testkit::http_api::HttpApi;
use testkit::rollouts::{OLD, RolloutFleet, RolloutFleetSize, canary, puts};
use testkit::skipped::did_not_run;

use crate::story::{is_long, seed};

const GOOD: &str = "good\n";
const BAD: &str = "bad\n";
/// How long anything may take that happens by itself.
const SOON: Duration = Duration::from_secs(60);

/// The seed of a scenario, if it is played here: the long ones are in `make faults` alone.
fn long_form(name: &str) -> Option<Rng> {
    if !is_long() {
        did_not_run(name, "it takes a minute: `make faults` runs it");
        return None;
    }
    Some(seeded(name))
}

/// The chance of a scenario, which its seed plays again.
fn seeded(name: &str) -> Rng {
    let seed = seed();
    println!("FAULT_SEED={seed} plays {name} again");
    Rng::with_seed(seed)
}

/// Which of the servers leads.
async fn leader(apis: &[HttpApi]) -> usize {
    eventually("a server leads", SOON, async || {
        for (index, api) in apis.iter().enumerate() {
            if api.get("/v1/log").await.is_ok_and(|log| log.body["relay"] == "following") {
                return Ok(index);
            }
        }
        Err("all stand by".to_owned())
    })
    .await
}

fn number(shown: &Value, of: &str) -> u64 {
    shown.pointer(of).and_then(Value::as_u64).unwrap_or_default()
}

/// What became of the nodes that did not confirm.
fn failures(shown: &Value) -> u64 {
    ["/counts/failed", "/counts/late", "/counts/lost"].iter().map(|count| number(shown, count)).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leading_server_is_killed_in_a_stage_and_a_bad_revision_stays_with_the_canary() {
    let name = "the_leading_server_is_killed_in_a_stage_and_a_bad_revision_stays_with_the_canary";
    let Some(mut rng) = long_form(name) else { return };
    let size = RolloutFleetSize { servers: 2, nodes: 30, canaries: 3 };
    let check = ["--check", "! grep -q bad {}/files/etc/motd"];
    let mut staged = RolloutFleet::start(TestBackends::with_identities().await, size, &check).await;
    let middle = json!({"name": "middle", "up_to": {"percent": 40}, "bake_s": 2});
    let policy = json!({"max_in_flight": 3, "settle_s": 60, "stages": [canary(2), middle]});

    staged.begins("good", policy.clone(), GOOD).await;
    // The middle stage releases ten.
    let released = rng.u64(1..=6);
    let in_stage =
        staged.becomes("good", "is in its middle stage", |shown| number(shown, "/stages/1/released") >= released);
    let shown = in_stage.await;
    let apis: Vec<HttpApi> = staged.fleet.servers.iter().map(|server| server.api.clone()).collect();
    assert_eq!(leader(&apis).await, 0, "the first server leads, and the other one is asked");
    staged.fleet.servers[0].process.kill();
    assert_eq!((&shown["stage"], number(&shown, "/stages/1/quota")), (&json!("middle"), 10), "{shown}");
    let promoted = staged.gets("good", "promoted").await;
    assert_eq!(promoted["counts"]["confirmed"], 30, "{promoted}");
    staged.runs_everywhere(GOOD).await;

    staged.fleet.servers[0].process.start_again();
    staged.fleet.servers[0].api.ready().await;
    let before = staged.digests().await;
    staged.begins("bad", policy, BAD).await;
    let halted = staged.gets("bad", "halted").await;
    assert_eq!((&halted["stage"], &halted["waiting"]["for"]), (&json!("canary"), &json!("halted")), "{halted}");
    let abort = json!({"type": "abort_rollout", "id": "bad"});
    staged.api.accepted(json!({"reason": "the check says no", "commands": [abort]})).await;
    staged.runs_everywhere(GOOD).await;
    assert_eq!(staged.digests().await, before, "every node is as it was");
    let again = staged.api.post(&json!({"commands": puts(BAD, None)}), None).await.unwrap();
    assert_eq!((again.status, again.code()), (409, "revision_aborted"), "{again:?}");

    staged.laws_hold().await;
    let (good, bad) = (staged.events("good").await, staged.events("bad").await);
    let sightings = staged.observer.end();
    assert_eq!(sightings.came_after_their_events(&good, GOOD).len(), 30);
    assert!(sightings.nodes_with(BAD).is_empty(), "no check let it through: {sightings:?}");
    let canaries = testkit::tree_observer::released(&bad);
    assert!(canaries.keys().all(|node| ["n-01", "n-02", "n-03"].contains(&node.as_str())), "{canaries:?}");
}

/// An agent that is stopped before the release and started after the abort.
async fn is_away(name: &str, is_silent: bool) {
    let size = RolloutFleetSize { servers: 1, nodes: 4, canaries: 2 };
    let mut staged = RolloutFleet::start(TestBackends::start().await, size, &[]).await;
    staged.fleet.agents.get_mut("n-01").unwrap().process.kill();
    if is_silent {
        eventually("the server knows that it is silent", SOON, async || {
            match staged.api.get("/v1/nodes/n-01").await?.body {
                node if node["state"] == "offline" => Ok(()),
                node => Err(node.to_string()),
            }
        })
        .await;
    }
    let policy = json!({"max_in_flight": 4, "settle_s": 600, "stages": [canary(600)]});
    staged.begins(name, policy, GOOD).await;
    // Of a node that was heard half a minute ago nobody knows yet that it is away.
    let released = if is_silent { 1 } else { 2 };
    let confirmed = |shown: &Value| number(shown, "/counts/confirmed") == 1 && number(shown, "/released") == released;
    staged.becomes(name, "has the other canary", confirmed).await;
    assert!(staged.runs("n-02", GOOD) && staged.runs("n-03", OLD));
    staged.api.accepted(json!({"commands": [{"type": "abort_rollout", "id": name}]})).await;
    staged.fleet.agents.get_mut("n-01").unwrap().process.start_again();
    staged.runs_everywhere(OLD).await;

    staged.laws_hold().await;
    let events = staged.events(name).await;
    let sightings = staged.observer.end();
    let had: Vec<&str> = sightings.came_after_their_events(&events, GOOD).into_iter().collect();
    assert_eq!(had, ["n-02"], "the one that was away never had it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_away_through_a_release_and_the_abort() {
    let name = "a_node_is_away_through_a_release_and_the_abort";
    if long_form(name).is_some() {
        is_away("unnoticed", false).await;
        is_away("silent", true).await;
    }
}
