//! Laws of explanations, held against histories that could have been: what is named is enough, and nothing named is idle.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use histories::{acts, history};
use projections::configuration::Configuration;
use projections::render::render;
use proptest::prelude::*;
use replay::explain::{Derivation, DerivingEvent, EventPart, ExplainError, OBSTACLES_MAX, explain_file, explain_job};
use schema::change::{Change, DocumentPut};
use schema::command::{Command, Content, EnrolNode, Merge, PutDocument};
use schema::digest::Digest;
use schema::document_mode::DocumentMode;
use schema::entity::{Entity, Kind};
use schema::event::Event;
use schema::id::{DocumentId, NodeId};
use schema::labels::Labels;
use schema::position::Position;
use schema::request::Request;
use schema::target::Target;

/// The paths that histories are about.
const PATHS: [&str; 7] = ["a", "a/b", "a-b", "b", "c", "c/d/e", "never"];

/// Folds some of a log's events as if there had been no others.
fn folded<'a>(events: impl IntoIterator<Item = &'a Event>) -> Configuration {
    let mut state = Configuration::default();
    for event in events {
        let event = Event { position: state.position().next(), ..event.clone() };
        state.fold(&event, &event.change().unwrap());
    }
    state
}

/// The events of these positions.
fn named<'a>(events: &'a [Event], why: &Derivation) -> Vec<&'a Event> {
    let positions: BTreeSet<Position> = why.reasons.iter().map(|reason| reason.position).collect();
    assert_eq!(positions.len(), why.reasons.len(), "no event is named twice");
    events.iter().filter(|event| positions.contains(&event.position)).collect()
}

fn file(state: &Configuration, node: &NodeId, path: &str) -> Option<(Digest, Entity)> {
    let pieces = render(state, node)?.pieces;
    let entry = pieces.into_iter().map(|piece| piece.entry).find(|entry| entry.path == path)?;
    Some((entry.digest, entry.source.entity))
}

fn files(state: &Configuration) -> impl Iterator<Item = (&NodeId, &'static str)> {
    state.nodes().keys().flat_map(|node| PATHS.into_iter().map(move |path| (node, path)))
}

fn found(why: &Derivation) -> Option<(Digest, Entity)> {
    why.found.as_ref().map(|found| (found.digest, found.source.entity.clone()))
}

fn parts(why: &Derivation, wanted: &[EventPart]) -> BTreeSet<DerivingEvent> {
    why.reasons.iter().filter(|reason| wanted.contains(&reason.part)).copied().collect()
}

/// Each document's last words at a path, and where it was taken from it: all that a log tells, read without an index.
fn ever_at(events: &[Event], path: &str) -> BTreeMap<DocumentId, (Position, Arc<DocumentPut>, Option<Position>)> {
    let mut ever: BTreeMap<DocumentId, (Position, Arc<DocumentPut>, Option<Position>)> = BTreeMap::new();
    for event in events.iter().filter(|event| event.entity.kind == Kind::Document) {
        let id = DocumentId::from(event.entity.id.clone());
        match event.change().unwrap() {
            Change::DocumentPut(put) if put.path.as_str() == path => {
                ever.insert(id, (event.position, put, None));
            }
            _ => {
                if let Some((_, _, left @ None)) = ever.get_mut(&id) {
                    *left = Some(event.position);
                }
            }
        }
    }
    ever
}

/// What rollouts have to do with a path is told in a test of its own.
fn without_rollouts(mut requests: Vec<Request>) -> Vec<Request> {
    requests.retain(|request| {
        !request.commands.iter().any(|ask| match &ask.command {
            Command::PutDocument(put) => put.rollout.is_some(),
            Command::RemoveDocument(remove) => remove.rollout.is_some(),
            _ => false,
        })
    });
    requests
}

#[test]
fn of_many_obstacles_the_latest_are_named_and_the_others_counted() {
    let away = Target::Nodes(["n9".parse().unwrap()].into());
    let enrol =
        Request::of([Command::EnrolNode(EnrolNode { id: "n0".parse().unwrap(), labels: Labels::new(), keys: None })]);
    let puts = (0..OBSTACLES_MAX + 7).map(|index| Request::of([put(&format!("d{index}"), "a", away.clone())]));
    let events = history::events(&std::iter::once(enrol).chain(puts).collect::<Vec<_>>());
    let why = explain_file(&folded(&events), &"n0".parse().unwrap(), "a").unwrap();
    let latest: Vec<Position> = events.iter().rev().take(OBSTACLES_MAX).map(|event| event.position).collect();
    assert_eq!(why.reasons.iter().map(|reason| reason.position).collect::<Vec<_>>(), latest);
    assert_eq!(why.more, 7);

    let named =
        Request::of([Command::EnrolNode(EnrolNode { id: "n9".parse().unwrap(), labels: Labels::new(), keys: None })]);
    let puts = (0..OBSTACLES_MAX + 7).map(|index| Request::of([put(&format!("d{index}"), "a", away.clone())]));
    let events = history::events(&std::iter::once(named).chain(puts).collect::<Vec<_>>());
    let why = explain_file(&folded(&events), &"n9".parse().unwrap(), "a").unwrap();
    assert_eq!((parts(&why, &[EventPart::Overrode]).len(), why.more), (OBSTACLES_MAX, 6), "one of them is in force");
}

fn put(id: &str, path: &str, target: Target) -> Command {
    Command::PutDocument(PutDocument {
        id: id.parse().unwrap(),
        path: path.parse().unwrap(),
        media_type: "text/plain".parse().unwrap(),
        content: Content::new(Vec::new()).unwrap().into(),
        target,
        priority: 0,
        merge: Merge::Replace,
        mode: DocumentMode::Plain,
        rollout: None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_file_follows_from_is_enough_for_it(requests in history::requests()) {
        let events = history::events(&requests);
        let state = folded(&events);
        for (node, path) in files(&state) {
            let Ok(why) = explain_file(&state, node, path) else {
                prop_assert!(ever_at(&events, path).is_empty(), "{path} once meant something");
                continue;
            };
            prop_assert_eq!(found(&why), file(&state, node, path));
            let alone = folded(named(&events, &why));
            prop_assert_eq!(found(&why), file(&alone, node, path), "{:?}", why);
            if why.found.is_some() {
                prop_assert_eq!(found(&why), found(&explain_file(&alone, node, path).unwrap()));
            }
        }
    }

    #[test]
    fn without_what_a_file_follows_from_it_is_another(requests in history::requests()) {
        let events = history::events(&requests);
        let state = folded(&events);
        for (node, path) in files(&state) {
            let Ok(why @ Derivation { found: Some(_), .. }) = explain_file(&state, node, path) else { continue };
            let put = parts(&why, &[EventPart::Put, EventPart::Staged]).pop_first().unwrap();
            let before = explain_file(&folded(events.iter().filter(|event| event.position != put.position)), node, path);
            let source = |why: Derivation| why.found.map(|found| (found.source.entity, found.source.version));
            prop_assert_ne!(before.ok().and_then(source), source(why.clone()), "another version, or another document");

            let nobody = Entity::from(node);
            let state = folded(events.iter().filter(|event| event.entity != nobody));
            prop_assert_eq!(explain_file(&state, node, path), Err(ExplainError::Entity(nobody)));

            let winner = &why.found.as_ref().unwrap().source.entity;
            let others = folded(events.iter().filter(|event| event.entity != *winner));
            let next = explain_file(&others, node, path).ok().and_then(|why| why.found);
            let next = next.map(|found| found.source.entity);
            let first = why.reasons.iter().find(|reason| reason.part == EventPart::Overrode);
            let overridden = first.map(|reason| events.iter().find(|event| event.position == reason.position).unwrap());
            prop_assert_eq!(next, overridden.map(|event| event.entity.clone()), "the first overridden takes its place");
        }
    }

    #[test]
    fn where_nothing_is_all_that_stands_in_the_way_is_named(requests in history::requests()) {
        let events = history::events(&without_rollouts(requests));
        let state = folded(&events);
        for (node, path) in files(&state) {
            let Ok(why @ Derivation { found: None, .. }) = explain_file(&state, node, path) else { continue };
            prop_assert!(!why.reasons.is_empty(), "it has a reason");
            let known = &state.nodes()[node];
            let (mut unfit, mut went, mut idle, mut fits) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), false);
            for (position, put, left) in ever_at(&events, path).into_values() {
                match (left, put.target.matches(node, &known.labels)) {
                    (None, false) => drop(unfit.insert(DerivingEvent { position, part: EventPart::Unfit })),
                    (None, true) => fits = true,
                    (Some(position), true) => drop(went.insert(DerivingEvent { position, part: EventPart::Left })),
                    (Some(position), false) => drop(idle.insert(DerivingEvent { position, part: EventPart::Left })),
                }
            }
            prop_assert!(!fits || known.retired);
            prop_assert_eq!(parts(&why, &[EventPart::Retired]).len(), usize::from(known.retired));
            let expected: BTreeSet<DerivingEvent> = match (fits, unfit.is_empty() && went.is_empty() && !known.retired) {
                (true, _) => BTreeSet::new(),
                (false, true) => idle,
                (false, false) => unfit.union(&went).copied().collect(),
            };
            prop_assert_eq!(parts(&why, &[EventPart::Unfit, EventPart::Left]), expected);
            if !known.retired {
                for gone in went {
                    let who = &events.iter().find(|event| event.position == gone.position).unwrap().entity;
                    let later = |event: &&Event| event.entity != *who || event.position < gone.position;
                    let stayed = folded(events.iter().filter(later));
                    prop_assert!(file(&stayed, node, path).is_some(), "without {:?} it would be there", gone);
                }
            }
        }
    }

    #[test]
    fn what_a_job_follows_from_is_enough_for_its_spec_and_its_holder(history in acts::history()) {
        let events = acts::run(&history).events();
        let state = folded(&events);
        for (id, job) in state.jobs().all() {
            let why = explain_job(&state, id).unwrap();
            let alone = folded(named(&events, &why));
            prop_assert_eq!(&alone.spec(id).unwrap().bytes, &state.spec(id).unwrap().bytes, "{:?}", why);
            let holder = |state: &Configuration| state.jobs().all()[id].claim.as_ref().map(|claim| claim.runtime.clone());
            prop_assert_eq!(holder(&alone), holder(&state));
            let ran = |state: &Configuration| state.jobs().all()[id].completed.as_ref().map(|done| done.outcome.clone());
            prop_assert_eq!(ran(&alone), ran(&state));

            let path = format!("jobs/{id}.json");
            let digest = |found: Option<(Digest, Entity)>| found.map(|(digest, _)| digest);
            for node in state.nodes().keys() {
                let there = explain_file(&state, node, &path).unwrap();
                prop_assert_eq!(found(&there), file(&state, node, &path));
                let holds = job.claim.as_ref().is_some_and(|claim| claim.runtime == *node);
                prop_assert_eq!(there.found.is_some(), holds);
                match holds {
                    // Of what was taken away from a spec its source tells, and its bytes do not.
                    true => prop_assert_eq!(digest(found(&there)), digest(file(&alone, node, &path))),
                    false => prop_assert!(!parts(&there, &[EventPart::Claimed, EventPart::Waits, EventPart::Retired]).is_empty(), "{:?}", there),
                }
            }
        }
    }

    #[test]
    fn a_job_that_is_gone_went_with_the_last_event_of_its_attestation(history in acts::history()) {
        let events = acts::run(&history).events();
        let state = folded(&events);
        let removed = events.iter().filter(|event| event.change().unwrap() == Change::AttestationRemoved);
        let last: BTreeMap<_, _> = removed.map(|event| (event.entity.clone(), event.position)).collect();
        for (entity, position) in last {
            let job = schema::id::JobId::derived(&entity.id.into());
            let why = explain_job(&state, &job).unwrap();
            let again = state.jobs().all().contains_key(&job);
            prop_assert_eq!(why.found.is_some(), again);
            if !again {
                prop_assert_eq!(why.reasons, vec![DerivingEvent { position, part: EventPart::Removed }]);
            }
        }
    }
}
