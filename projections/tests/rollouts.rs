//! The laws of rollouts: none of them ever runs ahead, whatever nodes and people do.

mod fleet;
mod forecast;
mod teller;

use std::collections::BTreeMap;
use std::sync::Arc;

use projections::configuration::{Configuration, Document};
use projections::render::render;
use projections::rollouts::RolloutStatus;
use proptest::prelude::*;
use schema::change::{Change, LogBegun};
use schema::digest::Digest;
use schema::entity::{Entity, Kind};
use schema::event::Event;
use schema::id::{NodeId, RolloutId};

use self::fleet::{Step, after, step};
use self::teller::Teller;

/// The same log with other events in the place of some. Positions are given anew; nothing else of an event depends on them.
fn retold(
    events: &[Event],
    mut other: impl FnMut(&Event, &Change, &Configuration) -> Vec<(Entity, Change)>,
) -> Configuration {
    let (mut state, mut told) = (Configuration::default(), Configuration::default());
    for event in events {
        let change = event.change().unwrap();
        for (entity, change) in other(event, &change, &state) {
            let version = told.version(&entity).next();
            let event = Event { position: told.position().next(), entity, version, ..event.clone() };
            told.fold(&event, &change);
        }
        state.fold(event, &change);
    }
    told
}

fn digests(state: &Configuration) -> BTreeMap<NodeId, Digest> {
    state.nodes().keys().map(|id| (id.clone(), render(state, id).unwrap().digest)).collect()
}

/// Whether an event is one of a rollout.
fn is_of(event: &Event, change: &Change, id: &RolloutId) -> bool {
    match change {
        Change::DocumentStaged(staged) => staged.rollout == *id,
        Change::RemovalStaged(staged) => staged.rollout == *id,
        _ => event.entity.kind == Kind::Rollout && event.entity.id == *id.id(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::cases(1_000, 100_000), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_rollout_never_runs_ahead(steps in prop::collection::vec(step(), 20..120)) {
        let fleet = after(&steps);
        let mut teller = Teller::default();
        for event in &fleet.events {
            teller.take(event)?;
            for id in teller.state.nodes().keys() {
                let files = render(&teller.state, id).unwrap().pieces.into_iter().map(|piece| {
                    (piece.entry.path, (piece.entry.source.entity.id.into(), piece.entry.digest))
                });
                prop_assert_eq!(files.collect::<BTreeMap<_, _>>(), teller.plain.files(id), "{} after {:?}", id, event);
            }
            for (id, rollout) in teller.state.rollouts().open() {
                let told = &teller.rollouts[id];
                prop_assert_eq!(rollout.counts, told.counts(None), "{} after {:?}", id, event);
                let in_flight = told.nodes.iter().filter(|(_, node)| node.in_flight).map(|(id, _)| id);
                prop_assert_eq!(rollout.in_flight.iter().collect::<Vec<_>>(), in_flight.collect::<Vec<_>>());
                prop_assert_eq!(rollout.released.iter().collect::<Vec<_>>(), told.nodes.keys().collect::<Vec<_>>());
            }
        }
        prop_assert_eq!(&teller.state, &fleet.state);
        // Whatever runs says what it waits for.
        for (id, rollout) in fleet.state.rollouts().open() {
            let waiting = fleet.state.waiting(id, fleet.state.at(), |_| true);
            prop_assert_eq!(waiting.is_some(), rollout.status != RolloutStatus::Draft, "{}", id);
        }
    }

    #[test]
    fn an_aborted_rollout_is_as_if_it_never_was(steps in prop::collection::vec(step(), 20..120)) {
        let fleet = after(&steps);
        for (id, _) in fleet.state.rollouts().ended().iter().filter(|(_, ended)| ended.end.name() == "aborted") {
            let without = retold(&fleet.events, |event, change, _| match is_of(event, change, id) {
                true => Vec::new(),
                false => vec![(event.entity.clone(), change.clone())],
            });
            prop_assert_eq!(digests(&without), digests(&fleet.state), "{}", id);
        }
    }

    #[test]
    fn a_promoted_rollout_is_as_if_it_was_put_at_once(steps in prop::collection::vec(step(), 20..120)) {
        let fleet = after(&steps);
        for (id, _) in fleet.state.rollouts().ended().iter().filter(|(_, ended)| ended.end.name() != "aborted") {
            let at_once = retold(&fleet.events, |event, change, before| {
                if matches!(change, Change::RolloutPromoted | Change::RolloutCompleted) && is_of(event, change, id) {
                    let staged = before.rollouts().staged().iter().filter(|(_, staged)| staged.rollout == *id);
                    let put = |put: &Document| Change::DocumentPut(Arc::clone(&put.put));
                    let changed = staged.map(|(document, staged)| {
                        (Entity::from(document), staged.put.as_ref().map_or(Change::DocumentRemoved, put))
                    });
                    return changed.collect();
                }
                if is_of(event, change, id) { Vec::new() } else { vec![(event.entity.clone(), change.clone())] }
            });
            prop_assert_eq!(digests(&at_once), digests(&fleet.state), "{}", id);
        }
    }
}

/// Whoever looks after the new log decides whether its rollouts go on.
#[test]
fn a_log_that_begins_anew_pauses_what_runs() {
    let ask = |kind: &str| serde_json::json!([{"type": kind, "id": "r0"}]);
    let put = serde_json::json!({"type": "put_document", "id": "d", "path": "d", "media_type": "text/plain", "content": "x",
        "target": {"all": true}, "priority": 0, "rollout": "r0"});
    let opened =
        serde_json::json!({"type": "open_rollout", "id": "r0", "max_in_flight": 1, "settle_s": 20, "stages": []});
    let mut fleet = after(&[Step::Ask(serde_json::json!([opened, put])), Step::Ask(ask("start_rollout")), Step::Look]);
    let id: RolloutId = "r0".parse().unwrap();
    let before = fleet.state.clone();
    let event = Event { position: before.position().next(), ..fleet.events.last().unwrap().clone() };
    let begun = LogBegun { from: event.log_id, position: before.position(), root: Digest::of(b""), checkpoint: None };
    let affected = fleet.state.fold(&event, &Change::LogBegun(begun));
    assert!(affected.is_empty() && before.rollouts().open()[&id].status == RolloutStatus::Running);
    let rollout = &fleet.state.rollouts().open()[&id];
    assert_eq!(rollout.status, RolloutStatus::Paused);
    assert_eq!(rollout.released, before.rollouts().open()[&id].released);
    assert_eq!(rollout.released.len(), 1, "a node has the change, and keeps it");
}

/// The histories that are tried are such in which rollouts get somewhere.
#[test]
fn the_histories_end_in_every_way() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let histories = prop::collection::vec(step(), 60..120);
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..600 {
        let fleet = after(&histories.new_tree(&mut runner).unwrap().current());
        for event in fleet.events {
            *seen.entry(event.event_type).or_default() += 1;
        }
    }
    println!("{seen:?}");
    for event_type in Change::TYPES.iter().filter(|name| {
        ["Rollout", "Stage", "Nodes", "DocumentStaged", "RemovalStaged"].iter().any(|start| name.starts_with(start))
    }) {
        assert!(seen.get(*event_type).is_some_and(|count| *count >= 2), "{event_type}: {seen:?}");
    }
}
