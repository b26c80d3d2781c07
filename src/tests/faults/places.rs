//! A process ends at each named place, between any two steps of append, relay, publish, apply and report, and is started
//! again.

use std::time::Duration;

use program::failpoints::{self, Failpoint};

use crate::story::{NODES, PLAIN, Stage, Story, nothing, scenarios};
use testkit::eventually::eventually;
use testkit::fleet::{Fleet, Process};

/// The operator's commands are asked, and always agree.
const HOOKS: Stage = Stage { hooks: Some(["true", "true"]), ..PLAIN };
/// How long a process may take to come to a place under load.
const REACHED_WITHIN: Duration = Duration::from_secs(60);
/// Events that are appended between two places.
const EVENTS_BETWEEN: u64 = 10;

scenarios! {
    server_ends_at_each_place_of_append: PLAIN, async |story: &mut Story| servers(story, "append.").await, nothing;
    server_ends_at_each_place_of_relay: PLAIN, async |story: &mut Story| servers(story, "relay.").await, nothing;
    server_ends_at_each_place_of_publish: PLAIN, async |story: &mut Story| servers(story, "publish.").await, nothing;
    server_ends_at_each_place_of_repair: PLAIN, async |story: &mut Story| servers(story, "repair.").await, nothing;
    server_ends_at_each_place_of_hearing: HOOKS, hearing, nothing;
    edge_ends_at_each_place_of_apply: HOOKS, apply, nothing;
}

/// The places whose name begins so.
pub(crate) fn named(beginning: &str) -> Vec<Failpoint> {
    let named: Vec<Failpoint> =
        failpoints::ALL.iter().filter(|point| point.name().starts_with(beginning)).copied().collect();
    assert!(!named.is_empty(), "there are places of {beginning}");
    named
}

async fn servers(story: &mut Story, beginning: &str) {
    for point in named(beginning) {
        server(story, point).await;
    }
}

async fn hearing(story: &mut Story) {
    for point in [failpoints::REPORT_HEARD, failpoints::REPORT_NOTED, failpoints::ASKED_DECIDED] {
        server(story, point).await;
    }
}

async fn server(story: &mut Story, point: Failpoint) {
    arm(&story.fleet, "serve-0", point);
    if point.name().starts_with("repair.") || point == failpoints::RELAY_TAKEN {
        // It comes there when it starts.
        story.fleet.servers[0].process.kill();
        story.fleet.servers[0].process.start_again();
    }
    ends(&mut story.fleet.servers[0].process, point).await;
    story.fleet.servers[0].process.start_again();
    story.fleet.servers[0].api.ready().await;
    story.grows(EVENTS_BETWEEN).await;
}

async fn apply(story: &mut Story) {
    for point in named("apply.").into_iter().chain([failpoints::REPORT_STORED]) {
        arm(&story.fleet, &format!("edge-{}", NODES[0]), point);
        let agent = story.fleet.agents.get_mut(NODES[0]).unwrap();
        ends(&mut agent.process, point).await;
        agent.process.start_again();
        story.grows(EVENTS_BETWEEN).await;
    }
}

/// Lets a process end at a place when it comes there next.
pub(crate) fn arm(fleet: &Fleet, process: &str, point: Failpoint) {
    let (dir, name) = (fleet.backends.dir.path(), format!("{process}.point"));
    // Moved into place, so that nobody reads half of it.
    std::fs::write(dir.join("point"), point.name()).unwrap();
    std::fs::rename(dir.join("point"), dir.join(name)).unwrap();
}

/// Waits until a process has ended at a place.
pub(crate) async fn ends(process: &mut Process, point: Failpoint) {
    eventually(&format!("it ends at {point}"), REACHED_WITHIN, async || match process.has_ended() {
        true => Ok(()),
        false => Err("it lives".to_owned()),
    })
    .await;
}

/// Every place is one of those that a scenario here comes to.
#[test]
fn no_place_is_left_out() {
    let visited = ["append.", "relay.", "publish.", "repair.", "apply.", "report.", "proposal.", "cut.", "asked."];
    for point in failpoints::ALL {
        assert!(visited.iter().any(|beginning| point.name().starts_with(beginning)), "{point}");
    }
}
