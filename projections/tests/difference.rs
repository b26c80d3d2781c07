//! The commands of a difference make one state into another, as far as that can be brought back.

use histories::{acts, history};
use projections::configuration::Configuration;
use projections::difference::{DifferenceScope, difference, is_configured_alike};
use projections::refusal::Refusal;
use projections::render::render;
use projections::request::decide_request;
use projections::taking_back::{LastingReason, RequestTrace, changed_since, lasting};
use proptest::prelude::*;
use schema::command::{Command, KnownContent};
use schema::desired::EntryKind;
use schema::digest::Digest;
use schema::document_mode::DocumentMode;
use schema::entity::{Entity, Kind};
use schema::id::{DocumentId, NodeId};
use schema::request::Request;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The request of a difference, with contents looked up as the server does.
fn request(commands: Vec<Command>, states: [&Configuration; 2]) -> Request {
    let puts = states.into_iter().flat_map(|state| state.documents().values().map(|document| document.put.clone()));
    let sizes: BTreeMap<Digest, u64> = puts.map(|put| (put.digest, put.size)).collect();
    let form = schema::command::ContentForm::Utf8;
    let mut request = Request::of(commands);
    for ask in &mut request.commands {
        if let Command::PutDocument(put) = &mut ask.command {
            put.content.resolve(|digest| Some(KnownContent { digest: *digest, size: sizes[digest], form }));
        }
    }
    request
}

fn files(state: &Configuration, node: &NodeId) -> BTreeMap<String, (Digest, DocumentMode)> {
    let pieces = render(state, node).unwrap().pieces.into_iter();
    let documents = pieces.filter(|piece| piece.entry.kind == EntryKind::Document);
    documents.map(|piece| (piece.entry.path, (piece.entry.digest, piece.entry.mode))).collect()
}

/// Whether an open rollout changes the entity: beside it nothing else does, and what it changes itself is accepted and changes nothing.
fn is_rolled_out(state: &Configuration, entity: &Entity) -> bool {
    entity.kind == Kind::Document && state.rollouts().underway(&DocumentId::from(entity.id.clone())).is_some()
}

/// Whether a rollout, a draft too, has staged the document.
fn is_staged(state: &Configuration, entity: &Entity) -> bool {
    entity.kind == Kind::Document && state.rollouts().staged().contains_key(&DocumentId::from(entity.id.clone()))
}

/// Makes `now` into `wanted`, and checks that it is so. States between which an open rollout stands are rejected, so that they do not count
/// among the cases.
fn becomes(now: &Configuration, wanted: &Configuration) -> Result<(), TestCaseError> {
    let commands = difference(now, wanted, &DifferenceScope::Everything);
    prop_assume!(!commands.iter().any(|command| is_rolled_out(now, &command.entity())));
    let mut after = now.clone();
    if !commands.is_empty() {
        let request = request(commands, [now, wanted]);
        after = match decide_request(now, &history::envelope(9_000), &request) {
            Ok(decided) => decided.configuration,
            // What a rollout changes, or has taken back, is not changed beside it.
            Err(refused) if matches!(refused.refusal, Refusal::Rollout(_)) => {
                return Err(TestCaseError::reject("a rollout stands in the way"));
            }
            Err(refused) => return Err(TestCaseError::fail(format!("{refused:?}"))),
        };
    }
    let again = difference(&after, wanted, &DifferenceScope::Everything);
    prop_assert!(again.is_empty(), "{:?}", again);
    let takes_part = |state: &Configuration, id: &NodeId| state.nodes().get(id).is_some_and(|node| !node.retired);
    let is_same_machine = |id: &NodeId| {
        takes_part(wanted, id) && takes_part(&after, id) && wanted.nodes()[id].enrolled == after.nodes()[id].enrolled
    };
    // What was made of a proposal stays as it is.
    let is_proposed = lasting(now, wanted).any(|(_, why)| why == LastingReason::Proposed);
    for (id, node) in wanted.nodes().iter().filter(|(id, _)| is_same_machine(id)) {
        prop_assert_eq!(&after.nodes()[id].labels, &node.labels);
        prop_assert!(is_proposed || files(&after, id) == files(wanted, id), "{}", id);
    }
    let documents = |state: &Configuration| state.documents().keys().cloned().collect::<Vec<_>>();
    prop_assert!(is_proposed || documents(&after) == documents(wanted));
    // What only a rollout has may belong to a bundle, too, and comes and goes with the rollout.
    let stays = |entity: &&Entity| !is_staged(&after, entity) && !is_staged(wanted, entity);
    let there = |entity: &&Entity| after.version_present(entity) > 0.into();
    for (id, bundle) in wanted.bundles().all() {
        let members: BTreeSet<&Entity> = bundle.members.iter().filter(there).filter(stays).collect();
        let found = after.bundles().all()[id].members.iter().filter(stays);
        prop_assert_eq!(found.collect::<BTreeSet<_>>(), members, "{}", id);
    }
    prop_assert_eq!(after.bundles().all().len(), wanted.bundles().all().len());
    prop_assert_eq!(after.principals(), now.principals());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, max_global_rejects: 4_096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_difference_makes_one_state_into_another(requests in history::requests(), index: prop::sample::Index) {
        let decided = history::decided(&requests);
        prop_assume!(!decided.is_empty());
        let now = &decided[decided.len() - 1].configuration;
        let wanted = &decided[index.index(decided.len())].configuration;
        becomes(now, wanted)?;
        becomes(wanted, now)?;
    }

    #[test]
    fn a_difference_makes_definitions_into_others(acts in acts::history(), index: prop::sample::Index) {
        let decided = acts::run(&acts).decided;
        prop_assume!(!decided.is_empty());
        let now = &decided[decided.len() - 1].2.configuration;
        let wanted = &decided[index.index(decided.len())].2.configuration;
        becomes(now, wanted)?;
    }

    #[test]
    fn what_one_request_did_is_undone_and_the_rest_stays(requests in history::requests(), index: prop::sample::Index) {
        let decided = history::decided(&requests);
        prop_assume!(!decided.is_empty());
        let index = index.index(decided.len());
        let before = if index == 0 { Configuration::default() } else { decided[index - 1].configuration.clone() };
        let (after, now) = (&decided[index].configuration, &decided[decided.len() - 1].configuration);
        let RequestTrace { mut parts, .. } = RequestTrace::of(&before, &decided[index].events);
        let changed = changed_since([&before, after, now], &parts);
        if index + 1 == decided.len() {
            prop_assert!(changed.is_empty(), "nobody changed anything since: {:?}", changed);
        }
        prop_assume!(!changed.iter().any(|entity| entity.kind == Kind::Bundle));
        parts.configured.retain(|entity| !changed.contains(entity));
        parts.members.retain(|entity| !changed.contains(entity));
        let commands = difference(now, &before, &DifferenceScope::Parts(parts.clone()));
        prop_assume!(!commands.is_empty() && !commands.iter().any(|command| is_rolled_out(now, &command.entity())));
        let Ok(decision) = decide_request(now, &history::envelope(9_000), &request(commands, [now, &before])) else {
            return Err(TestCaseError::reject("a path is a folder now, or a bundle would lose what it has"));
        };
        let undone = decision.configuration;
        for entity in &parts.configured {
            prop_assert!(is_configured_alike(&undone, &before, entity), "{} is not as before", entity);
        }
        let owner = |state: &Configuration, entity: &Entity| state.bundles().owner(entity).cloned();
        let there = |state: &Configuration, entity: &Entity| state.version_present(entity) > 0.into();
        for entity in parts.members.iter().filter(|entity| there(&undone, entity) && there(&before, entity)) {
            prop_assert_eq!(owner(&undone, entity), owner(&before, entity), "{}", entity);
        }
        for other in now.documents().keys().map(Entity::from).chain(now.nodes().keys().map(Entity::from)) {
            if !parts.configured.contains(&other) {
                prop_assert!(is_configured_alike(&undone, now, &other), "{} was changed", other);
            }
            if !parts.members.contains(&other) && there(&undone, &other) {
                let is_let_go = owner(now, &other).is_some_and(|bundle| parts.configured.contains(&Entity::from(&bundle)));
                prop_assert!(is_let_go || owner(&undone, &other) == owner(now, &other), "{} was moved", other);
            }
        }
    }
}

/// Requests, one after another, and the state after each.
fn states(requests: impl IntoIterator<Item = Value>) -> Vec<Configuration> {
    let mut states = vec![Configuration::default()];
    for (number, commands) in requests.into_iter().enumerate() {
        let request = Request::read(json!({"commands": commands}).to_string().as_bytes()).unwrap();
        let before = states.last().unwrap();
        let decided = decide_request(before, &history::envelope(number), &request).unwrap();
        states.push(decided.configuration);
    }
    states
}

fn put(id: &str) -> Value {
    json!({"type": "put_document", "id": id, "path": id, "media_type": "text/plain", "content": "", "target": {"all": true}, "priority": 0})
}

fn assign(id: &str, members: &[&str]) -> Value {
    json!({"type": "assign_bundle", "id": id, "members": members, "take": true})
}

#[test]
fn what_leaves_one_bundle_for_another_is_not_taken_back_by_the_first() {
    let states = states([
        json!([put("d1"), put("d5"), put("d9"), assign("a", &["document/d5"]), assign("b", &["document/d9"])]),
        json!([{"type": "assign_bundle", "id": "a", "members": [], "empty": true},
               assign("b", &["document/d1", "document/d5", "document/d9"])]),
    ]);
    becomes(&states[2], &states[1]).unwrap();
    becomes(&states[1], &states[2]).unwrap();
}

#[test]
fn a_node_that_was_enrolled_anew_keeps_the_labels_of_the_new_machine() {
    let enrol = |site: &str| json!([{"type": "enrol_node", "id": "n", "labels": {"site": site}}]);
    let states = states([enrol("lund"), json!([{"type": "retire_node", "id": "n"}]), enrol("oslo")]);
    assert!(difference(&states[3], &states[1], &DifferenceScope::Everything).is_empty());
    let left: Vec<_> = lasting(&states[3], &states[1]).collect();
    assert_eq!(left, [("node/n".parse().unwrap(), LastingReason::Enrolled)]);
}
