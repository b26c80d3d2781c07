//! The commands of a difference make one state into another, as far as that can be brought back.

use histories::{acts, history};
use projections::configuration::Configuration;
use projections::difference::{DifferenceScope, difference, is_same};
use projections::render::render;
use projections::request::decide_request;
use projections::taking_back::{RequestTrace, changed_since};
use proptest::prelude::*;
use schema::command::{Command, KnownContent};
use schema::desired::EntryKind;
use schema::digest::Digest;
use schema::entity::Entity;
use schema::id::NodeId;
use schema::request::Request;
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

fn files(state: &Configuration, node: &NodeId) -> BTreeMap<String, Digest> {
    let pieces = render(state, node).unwrap().pieces.into_iter();
    let documents = pieces.filter(|piece| piece.entry.kind == EntryKind::Document);
    documents.map(|piece| (piece.entry.path, piece.entry.digest)).collect()
}

/// Makes `now` into `wanted`, and checks that it is so.
fn becomes(now: &Configuration, wanted: &Configuration) -> Result<(), TestCaseError> {
    let commands = difference(now, wanted, &DifferenceScope::Everything);
    let mut after = now.clone();
    if !commands.is_empty() {
        let request = request(commands, [now, wanted]);
        after = decide_request(now, &history::envelope(9_000), &request)
            .map_err(|refused| TestCaseError::fail(format!("{refused:?}")))?
            .configuration;
    }
    let again = difference(&after, wanted, &DifferenceScope::Everything);
    prop_assert!(again.is_empty(), "{:?}", again);
    let takes_part = |state: &Configuration, id: &NodeId| state.nodes().get(id).is_some_and(|node| !node.retired);
    for (id, node) in wanted.nodes().iter().filter(|(id, _)| takes_part(wanted, id) && takes_part(&after, id)) {
        prop_assert_eq!(&after.nodes()[id].labels, &node.labels);
        prop_assert_eq!(files(&after, id), files(wanted, id));
    }
    prop_assert_eq!(after.documents().keys().collect::<Vec<_>>(), wanted.documents().keys().collect::<Vec<_>>());
    let there = |entity: &&Entity| after.version_present(entity) > 0.into();
    for (id, bundle) in wanted.bundles().all() {
        let members: BTreeSet<&Entity> = bundle.members.iter().filter(there).collect();
        prop_assert_eq!(after.bundles().all()[id].members.iter().collect::<BTreeSet<_>>(), members, "{}", id);
    }
    prop_assert_eq!(after.bundles().all().len(), wanted.bundles().all().len());
    prop_assert_eq!(after.principals(), now.principals());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

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
        let configured = RequestTrace::of(&before, &decided[index].events).configured;
        let changed: BTreeSet<Entity> = changed_since([&before, after, now], &configured).cloned().collect();
        if index + 1 == decided.len() {
            prop_assert!(changed.is_empty(), "nobody changed anything since: {:?}", changed);
        }
        let undone: BTreeSet<Entity> = configured.difference(&changed).cloned().collect();
        let commands = difference(now, &before, &DifferenceScope::Entities(undone.clone()));
        prop_assume!(!commands.is_empty());
        let Ok(decision) = decide_request(now, &history::envelope(9_000), &request(commands, [now, &before])) else {
            // Something else stands in the way: a path that is a folder now, or a bundle that would lose what it has.
            return Ok(());
        };
        let left = decision.configuration;
        for entity in &undone {
            prop_assert!(is_same(&left, &before, entity), "{} is not as before", entity);
        }
        let others = now.documents().keys().map(Entity::from).chain(now.nodes().keys().map(Entity::from));
        for other in others.filter(|other| !undone.contains(other)) {
            prop_assert!(is_same(&left, now, &other) || is_member_of(&other, &undone, [&before, now]), "{} was changed", other);
        }
    }
}

/// Whether an entity belongs to a bundle that is among others.
fn is_member_of(entity: &Entity, others: &BTreeSet<Entity>, states: [&Configuration; 2]) -> bool {
    let owners = states.into_iter().filter_map(|state| state.bundles().owner(entity));
    owners.into_iter().any(|owner| others.contains(&owner.into()))
}
