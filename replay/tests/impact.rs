//! What a request changed, and what concerns a node: each against looking at everything.

use std::collections::{BTreeMap, BTreeSet};

use histories::{acts, history};
use projections::configuration::Configuration;
use projections::outcome::outcome;
use projections::render::{Manifest, render};
use projections::request::DecisionWithState;
use proptest::prelude::*;
use replay::log::Follower;
use replay::node_history::concerns;
use schema::digest::Digest;
use schema::entity::Kind;
use schema::event::Event;
use schema::id::{JobId, NodeId};

fn records(state: &Configuration) -> BTreeMap<NodeId, Manifest> {
    state.nodes().keys().map(|id| (id.clone(), render(state, id).unwrap())).collect()
}

fn specs(state: &Configuration) -> BTreeMap<JobId, Digest> {
    state.jobs().all().keys().map(|id| (id.clone(), state.spec(id).unwrap().digest)).collect()
}

/// Something with its digests before and after.
type Change<T> = (T, Option<Digest>, Option<Digest>);

/// Everything that differs, found by looking at everything.
fn differing<T: Ord + Clone>(before: &BTreeMap<T, Digest>, after: &BTreeMap<T, Digest>) -> Vec<Change<T>> {
    let all: BTreeSet<&T> = before.keys().chain(after.keys()).collect();
    let turn = |id: &T| (id.clone(), before.get(id).copied(), after.get(id).copied());
    all.into_iter().map(turn).filter(|(_, before, after)| before != after).collect()
}

fn is_all_there_is(decided: impl IntoIterator<Item = DecisionWithState>) -> Result<(), TestCaseError> {
    let mut before = Configuration::default();
    for DecisionWithState { configuration: after, events, affected, .. } in decided {
        let found = outcome(&before, &after, &affected, &events);
        let digests = |state| -> BTreeMap<_, _> {
            records(state).into_iter().map(|(id, manifest)| (id, manifest.digest)).collect()
        };
        let changed = found.records.iter().filter(|record| record.is_change());
        let changed: Vec<_> = changed.map(|record| (record.node.clone(), record.before, record.after)).collect();
        prop_assert_eq!(&changed, &differing(&digests(&before), &digests(&after)));
        let jobs: Vec<_> = found.plan.jobs.iter().map(|job| (job.job.clone(), job.before, job.after)).collect();
        prop_assert_eq!(&jobs, &differing(&specs(&before), &specs(&after)));
        let (was, is) = (records(&before), records(&after));
        let moved: BTreeSet<&NodeId> =
            is.iter().filter(|(id, record)| was.get(*id) != Some(record)).map(|(id, _)| id).collect();
        let named: BTreeSet<&NodeId> = found.records.iter().map(|record| &record.node).collect();
        prop_assert_eq!(moved, named, "whose record has another position is named, too");
        before = after;
    }
    Ok(())
}

/// What names a node or changes its record belongs to its history.
fn is_remembered(events: &[Event]) -> Result<(), TestCaseError> {
    let mut follower = Follower::new(acts::log_id());
    for event in events {
        let before = records(follower.configuration());
        let affected = follower.advance(event).unwrap();
        for (node, record) in records(follower.configuration()) {
            let told = concerns(event, &event.change().unwrap(), &affected, &node);
            prop_assert!(told || before.get(&node) == Some(&record));
            let about_nodes = matches!(event.entity.kind, Kind::Node | Kind::Report | Kind::Runtime);
            let named = about_nodes && event.entity.id == *node.id();
            let holder = event.entity.kind == Kind::Job && event.data.contains(&format!("\"{node}\""));
            prop_assert!(told || !(named || holder), "{:?}", event);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_request_changed_is_what_comparing_all_finds(requests in history::requests()) {
        is_all_there_is(history::decided(&requests))?;
    }

    #[test]
    fn what_a_request_changed_of_jobs_is_what_comparing_all_finds(history in acts::history()) {
        is_all_there_is(acts::run(&history).decided.into_iter().map(|(_, _, decided)| decided))?;
    }

    #[test]
    fn whatever_changes_a_record_is_in_the_history_of_its_node(requests in history::requests()) {
        is_remembered(&history::events(&requests))?;
    }

    #[test]
    fn whatever_names_a_holder_is_in_the_history_of_its_node(history in acts::history()) {
        is_remembered(&acts::run(&history).events())?;
    }
}
