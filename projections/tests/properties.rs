//! Laws that hold for every history, each against the plainest thing that could be right: try all, keep nothing.

use std::collections::{BTreeMap, BTreeSet};

use eventually::aggregate::Aggregate as _;
use futures::FutureExt as _;
use histories::history;
use projections::aggregate::{AggregateError, FleetAggregate};
use projections::configuration::Configuration;
use projections::render::{Manifest, render};
use projections::request::decide_request;
use proptest::prelude::*;
use schema::command::{Command, RemoveDocument};
use schema::digest::Digest;
use schema::id::{DocumentId, NodeId};
use schema::request::Request;
use schema::seal::SecretKey;
use schema::wire::WireRecord as _;

use crate::plain_fleet::Plain;

fn manifests(state: &Configuration) -> BTreeMap<NodeId, Manifest> {
    state.nodes().keys().map(|id| (id.clone(), render(state, id).unwrap())).collect()
}

fn final_state(requests: &[Request]) -> Configuration {
    history::decided(requests).pop().map(|decided| decided.configuration).unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_event_concerns_exactly_whom_trying_all_finds(requests in history::requests()) {
        let (mut state, mut plain) = (Configuration::default(), Plain::default());
        for event in history::events(&requests) {
            let affected = state.fold(&event, &event.change().unwrap());
            prop_assert_eq!(affected, plain.take(&event), "{:?}", event);
        }
    }

    #[test]
    fn the_index_finds_what_trying_all_finds(
        requests in history::requests(), targets in prop::collection::vec(history::target(), 1..8),
    ) {
        let state = final_state(&requests);
        let active = || state.nodes().iter().filter(|(_, node)| !node.retired);
        for target in targets {
            let tried: BTreeSet<NodeId> =
                active().filter(|(id, node)| target.matches(id, &node.labels)).map(|(id, _)| id.clone()).collect();
            prop_assert_eq!(state.nodes_of(&target), tried, "{:?}", target);
        }
        for (id, node) in active() {
            let selects = |document: &DocumentId| state.documents()[document].put.target.matches(id, &node.labels);
            let tried: Vec<_> = state.documents().keys().filter(|document| selects(document)).collect();
            prop_assert!(tried.len() <= state.documents_max(id, node));
            prop_assert_eq!(state.proven_documents_of(id, node), tried);
        }
    }

    #[test]
    fn a_record_holds_what_is_in_force_and_the_last_event_that_concerned_its_node(requests in history::requests()) {
        let (mut state, mut plain) = (Configuration::default(), Plain::default());
        for event in history::events(&requests) {
            state.fold(&event, &event.change().unwrap());
            plain.take(&event);
            for (id, manifest) in manifests(&state) {
                let node = &plain.nodes[&id];
                prop_assert_eq!(Some(manifest.cause), node.cause);
                prop_assert_eq!((manifest.retired, manifest.retry), (node.retired, node.retry));
                let files: BTreeMap<String, (DocumentId, Digest)> = manifest.pieces.into_iter()
                    .map(|piece| (piece.entry.path, (piece.entry.source.entity.id.into(), piece.entry.digest)))
                    .collect();
                prop_assert_eq!(files, plain.files(&id));
            }
        }
    }

    #[test]
    fn no_two_paths_in_force_are_a_file_and_its_folder(requests in history::requests()) {
        let state = final_state(&requests);
        let paths: BTreeSet<&str> = state.documents().values().map(|document| document.put.path.as_str()).collect();
        for document in state.documents().values() {
            let mut ancestors = document.put.path.ancestors();
            prop_assert!(ancestors.all(|ancestor| !paths.contains(ancestor)), "{:?}", paths);
        }
    }

    #[test]
    fn decided_events_fold_to_what_deciding_returned(requests in history::requests()) {
        let mut state = Configuration::default();
        for decided in history::decided(&requests) {
            let mut affected = BTreeSet::new();
            for event in &decided.events {
                prop_assert!(event.is_intact());
                affected.append(&mut state.fold(event, &event.change().unwrap()));
            }
            prop_assert_eq!(&state, &decided.configuration);
            prop_assert_eq!(affected, decided.affected);
        }
    }

    #[test]
    fn positions_versions_ordinals_and_times_have_no_gap_and_never_go_back(requests in history::requests()) {
        let (mut position, mut at, mut versions) = (0, None, BTreeMap::new());
        for decided in history::decided(&requests) {
            for (index, event) in decided.events.iter().enumerate() {
                position += 1;
                prop_assert_eq!(event.position.get(), position);
                prop_assert_eq!((event.ordinal as usize, event.count as usize), (index + 1, decided.events.len()));
                prop_assert!(Some(event.at) >= at);
                at = Some(event.at);
                let version = versions.entry(event.entity.clone()).or_insert(0);
                *version += 1;
                prop_assert_eq!(event.version.get(), *version);
            }
            prop_assert_eq!(decided.answer.position.get(), position);
            let ids: BTreeSet<_> = decided.events.iter().map(|event| event.event_id).collect();
            prop_assert_eq!(ids.len(), decided.events.len());
        }
    }

    #[test]
    fn a_request_is_taken_whole_or_not_at_all(requests in history::requests(), bad in history::command()) {
        let state = final_state(&requests);
        let before = state.clone();
        let mut request = Request::of([bad.clone(), bad, Command::RetireNode("nobody".parse().unwrap())]);
        request.commands.extend(requests[0].commands.clone());
        prop_assert!(decide_request(&state, &history::envelope(1000), &request).is_err());
        prop_assert_eq!(&state, &before);
        prop_assert_eq!(manifests(&state), manifests(&before));
    }

    #[test]
    fn the_same_request_again_changes_nothing(requests in history::requests()) {
        let state = final_state(&requests);
        let repeatable = |command: &Command| {
            use Command::{
                AbortRollout, AcceptProposal, AdvanceRollout, CompleteRollout, Mark, RejectProposal, RemoveBundle,
                RemoveDocument, RetryNode, StartRollout,
            };
            let ends = matches!(
                command,
                RemoveDocument(_) | RemoveBundle(_) | AcceptProposal(_) | RejectProposal(_) | StartRollout(_)
                    | AbortRollout(_) | CompleteRollout(_) | AdvanceRollout(_)
            );
            // Without a position a mark names the head, which moves.
            !ends && !matches!(command, RetryNode(_)) && !matches!(command, Mark(mark) if mark.position.is_none())
        };
        for ask in requests.iter().flat_map(|request| &request.commands).filter(|ask| repeatable(&ask.command)) {
            let request = Request::of([ask.command.clone()]);
            let Ok(once) = decide_request(&state, &history::envelope_of(1000, &request), &request) else { continue };
            let twice = decide_request(&once.configuration, &history::envelope_of(1001, &request), &request).unwrap();
            prop_assert!(twice.events.is_empty(), "{:?}", request);
            prop_assert_eq!(twice.configuration, once.configuration);
        }
    }

    #[test]
    fn what_is_removed_and_put_again_gives_the_same_files(requests in history::requests(), index: prop::sample::Index) {
        let state = final_state(&requests);
        let puts: Vec<_> = requests.iter().flat_map(|request| &request.commands).filter_map(|ask| match &ask.command {
            Command::PutDocument(put) if put.rollout.is_none() => Some(put.clone()),
            _ => None,
        }).collect();
        prop_assume!(!puts.is_empty());
        let put = index.get(&puts).clone();
        let again = [Command::PutDocument(put.clone())];
        let Ok(before) = decide_request(&state, &history::envelope(1000), &Request::of(again.clone())) else {
            return Ok(());
        };
        prop_assume!(before.configuration.rollouts().underway(&put.id).is_none());
        let away = Request::of([Command::RemoveDocument(RemoveDocument { id: put.id, rollout: None })]);
        let away = decide_request(&before.configuration, &history::envelope(1001), &away).unwrap();
        let after = decide_request(&away.configuration, &history::envelope(1002), &Request::of(again)).unwrap();
        let digests = |state| -> Vec<_> { manifests(state).into_values().map(|manifest| manifest.digest).collect() };
        prop_assert_eq!(digests(&before.configuration), digests(&after.configuration));
    }

    #[test]
    fn the_aggregate_says_what_the_plain_functions_say(requests in history::requests()) {
        let mut state = Configuration::default();
        for (index, request) in requests.into_iter().enumerate() {
            let envelope = history::envelope_of(index, &request);
            let decided = decide_request(&state, &envelope, &request);
            let handled =
                FleetAggregate.handle(&history::log_id(), &state, (envelope, request)).now_or_never().expect("it never waits");
            match decided {
                Err(refused) => prop_assert_eq!(handled, Err(AggregateError::Refused(refused))),
                Ok(decided) => {
                    prop_assert_eq!(handled, Ok((!decided.events.is_empty()).then(|| decided.events.clone())));
                    for event in decided.events {
                        state = FleetAggregate::apply(state, event.clone()).unwrap();
                        let (expected, found) = (event.position.next(), event.position);
                        prop_assert_eq!(FleetAggregate::apply(state.clone(), event), Err(AggregateError::Gap { expected, found }));
                    }
                    prop_assert_eq!(&state, &decided.configuration);
                }
            }
        }
    }

    #[test]
    fn a_signed_record_is_no_larger_than_was_decided(requests in history::requests()) {
        let secret = SecretKey::from_seed(&[7; 32]);
        for (_, manifest) in manifests(&final_state(&requests)) {
            let sizes: BTreeMap<Digest, u64> =
                manifest.pieces.iter().map(|piece| (piece.entry.digest, piece.entry.size)).collect();
            let content = |digest| Some(vec![b'x'; usize::try_from(sizes[&digest]).unwrap()]);
            let bytes = manifest.record_bytes(history::log_id());
            let desired = manifest.fill(history::log_id(), content).unwrap();
            prop_assert_eq!(desired.digest, desired.digest_of_entries());
            let written = secret.seal(desired.write()).write().len();
            prop_assert!(written <= bytes && bytes - written < 100, "{} of {}", written, bytes);
        }
    }
}
