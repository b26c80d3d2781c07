//! The laws of rollouts on a log: what the server writes keeps them, and each planted breach is found.

use std::sync::Arc;

use histories::{history, story};
use projections::configuration::Configuration;
use proptest::prelude::*;
use replay::rollout_laws::{LAWS, RolloutLaws};
use schema::change::Change;
use schema::digest::Digest;
use schema::event::Event;
use schema::instant::Instant;
use schema::request::Request;
use schema::rollout::{NodesExpected, NodesOverdue, NodesReleased, RolloutHalted, StageOpened, StagePassed};
use serde_json::{Value, json};

/// The laws over events, each of which may be changed before it is folded.
fn laws(events: &[Event], mut plant: impl FnMut(&mut Event, Change) -> Change) -> RolloutLaws {
    let (mut state, mut laws) = (Configuration::default(), RolloutLaws::default());
    for event in events {
        let mut event = event.clone();
        let change = event.change().unwrap();
        let change = plant(&mut event, change);
        let before = state.clone();
        state.fold(&event, &change);
        laws.take(&event, &change, &before, &state);
    }
    laws
}

#[test]
fn the_story_keeps_every_law_and_each_is_checked() {
    let laws = laws(&story::told_to_this_day().events, |_, change| change);
    assert_eq!(laws.breaches(), []);
    for (law, _) in LAWS {
        assert!(laws.checked().get(law).is_some_and(|count| *count > 0), "{law}: {:?}", laws.checked());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_the_server_decides_keeps_every_law(requests in history::requests()) {
        let laws = laws(&history::events(&requests), |_, change| change);
        prop_assert_eq!(laws.breaches(), []);
    }
}

/// Which laws are broken if one event is another one.
fn broken(plant: impl FnMut(&mut Event, Change) -> Change) -> Vec<&'static str> {
    let laws = laws(&story::told_to_this_day().events, plant);
    let mut broken: Vec<&str> = laws.breaches().iter().map(|breach| breach.law).collect();
    broken.dedup();
    broken
}

#[test]
fn planted_breaches_are_found() {
    let released = |change: fn(NodesReleased) -> NodesReleased| {
        move |_: &mut Event, was: Change| match was {
            Change::NodesReleased(released) => Change::NodesReleased(Arc::new(change(Arc::unwrap_or_clone(released)))),
            other => other,
        }
    };
    let other_digest = |mut released: NodesReleased| {
        released.nodes.iter_mut().for_each(|node| node.digest = Digest::of(b"other"));
        released
    };
    assert!(broken(released(other_digest)).contains(&"released_digest"));
    let moot = |mut released: NodesReleased| {
        released.moot.extend(released.nodes.drain(..).map(|node| node.id));
        released
    };
    assert!(broken(released(moot)).contains(&"released_digest"), "a node that is called moot gets other files");
    let more = |mut released: NodesReleased| {
        let nodes = ["ring-1", "ring-2", "ring-3", "ring-4"].map(|id| id.parse().unwrap());
        let digest = Digest::of(b"other");
        released.nodes = nodes.into_iter().map(|id| schema::rollout::NodeDigest { id, digest }).collect();
        released
    };
    let found = broken(released(more));
    assert!(found.contains(&"released_count") && found.contains(&"released_nodes"), "{found:?}");

    let opened = |_: &mut Event, was: Change| match was {
        Change::StageOpened(opened) => Change::StageOpened(StageOpened { quota: opened.quota + 1, ..opened }),
        other => other,
    };
    assert!(broken(opened).contains(&"stage_opened"));
    let absent = |_: &mut Event, was: Change| match was {
        Change::StagePassed(passed) => Change::StagePassed(StagePassed { absent: passed.absent + 1, ..passed }),
        other => other,
    };
    assert_eq!(broken(absent), ["stage_passed"]);
    let too_early = |event: &mut Event, was: Change| {
        if matches!(was, Change::StagePassed(_) | Change::NodesOverdue(_) | Change::RolloutCompleted) {
            event.at = Instant::from_unix_micros(0);
        }
        was
    };
    let found = broken(too_early);
    assert!(["stage_passed", "overdue", "completed"].iter().all(|law| found.contains(law)), "{found:?}");
    let halted = |_: &mut Event, was: Change| match was {
        Change::RolloutHalted(mut halted) => {
            halted.failures.late += 1;
            Change::RolloutHalted(RolloutHalted { failures: halted.failures })
        }
        other => other,
    };
    assert_eq!(broken(halted), ["failures"]);
    let nobody = |_: &mut Event, was: Change| match was {
        Change::NodesOverdue(_) => {
            let lost = vec!["lund-1".parse().unwrap()];
            Change::NodesOverdue(Arc::new(NodesOverdue { late: Vec::new(), lost }))
        }
        other => other,
    };
    assert!(broken(nobody).contains(&"failures"), "without the failure there was no reason to halt");
    let completed = |_: &mut Event, was: Change| match was {
        Change::RolloutCompleted => Change::RolloutPromoted,
        other => other,
    };
    assert_eq!(broken(completed), ["promoted"]);
}

#[test]
fn planted_breaches_of_order_and_of_what_is_expected_are_found() {
    let beside = |change: fn(NodesExpected) -> NodesExpected| {
        move |_: &mut Event, was: Change| match was {
            Change::NodesExpected(expected) => Change::NodesExpected(Arc::new(change(Arc::unwrap_or_clone(expected)))),
            other => other,
        }
    };
    let other_digest = |mut expected: NodesExpected| {
        expected.nodes.iter_mut().for_each(|node| node.digest = Digest::of(b"other"));
        expected
    };
    assert!(broken(beside(other_digest)).contains(&"expected"), "a node confirms by what it never had to run");
    let shadowed = |mut expected: NodesExpected| {
        expected.shadowed.extend(expected.nodes.drain(..).map(|node| node.id));
        expected
    };
    assert!(broken(beside(shadowed)).contains(&"expected"), "a node that has the changes is called shadowed");
    let paused = |_: &mut Event, was: Change| match was {
        Change::StageApproved(_) => Change::RolloutPaused,
        other => other,
    };
    let found = broken(paused);
    assert!(found.contains(&"released_nodes") && found.contains(&"stage_passed"), "it goes on in a pause: {found:?}");
    let unpassed = |_: &mut Event, was: Change| match was {
        Change::StagePassed(_) => Change::RolloutPaused,
        other => other,
    };
    assert!(broken(unpassed).contains(&"stage_opened"), "a stage is left without having passed");
    let settled = |_: &mut Event, was: Change| match was {
        Change::StageApproved(_) => {
            let (late, lost) = (vec!["ring-1".parse().unwrap()], Vec::new());
            Change::NodesOverdue(Arc::new(NodesOverdue { late, lost }))
        }
        other => other,
    };
    assert!(broken(settled).contains(&"overdue"), "a node that has settled is called late");
}

/// A stage of one rollout that has passed proves nothing of another one.
#[test]
fn a_promotion_after_the_stage_of_another_rollout_is_found() {
    let mut story = story::Story::default();
    let mut ask = |commands: Value| {
        let body = json!({ "commands": commands });
        story.request("system/install", &Request::read(body.to_string().as_bytes()).unwrap());
    };
    for (node, id) in [("n1", "a"), ("n2", "b")] {
        let stages = json!([{"name": "rest", "bake_s": 1}]);
        ask(json!([
            {"type": "enrol_node", "id": node, "labels": {}},
            {"type": "open_rollout", "id": id, "max_in_flight": 1, "settle_s": 10, "stages": stages},
            {"type": "put_document", "id": id, "path": id, "media_type": "text/plain", "content": "new", "rollout": id,
                "target": {"nodes": [node]}, "priority": 0},
            {"type": "start_rollout", "id": id},
        ]));
    }
    story.advance("a", &["n1"], &[]);
    story.run_all(&["n1"]);
    story.advance("a", &[], &[]);
    let promoted = |event: &Event| event.event_type == "RolloutPromoted";
    assert_eq!(story.events.iter().filter(|event| promoted(event)).count(), 1);
    assert_eq!(laws(&story.events, |_, change| change).breaches(), []);
    let of_the_other = |event: &mut Event, was: Change| {
        if was == Change::RolloutPromoted {
            event.entity = "rollout/b".parse().unwrap();
        }
        was
    };
    let found = laws(&story.events, of_the_other);
    let found: Vec<_> = found.breaches().iter().map(|breach| (breach.rollout.as_str(), breach.law)).collect();
    assert_eq!(found, [("b", "promoted")]);
}
