//! The difference between two states: the commands that make the one into the other.
//!
//! Configuration is what people put: documents, definitions, labels of nodes, and what belongs together. Enrolment and retirement, tokens,
//! claims, reports, proposals and marks are what happened, and are never brought back. What a request did, and what somebody changed since,
//! is in [`crate::taking_back`].

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use schema::change::DocumentPut;
use schema::command::{AssignBundle, Command, PutContent, PutDocument, RemoveDocument};
use schema::entity::{Entity, Kind};
use schema::id::{BundleId, DocumentId, NodeId};

use crate::bundles::Bundles;
use crate::compliance::Compliance;
use crate::configuration::Configuration;

/// Which entities are made what they are to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DifferenceScope {
    /// All of them.
    Everything,
    /// Some.
    Parts(DifferenceParts),
}

/// Entities of which something is made what it is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DifferenceParts {
    /// They are configured as they are to be.
    pub configured: BTreeSet<Entity>,
    /// They belong to the bundles that they are to belong to.
    pub members: BTreeSet<Entity>,
}

impl DifferenceScope {
    /// Whether an entity is configured as it is to be.
    #[must_use]
    pub fn has(&self, entity: &Entity) -> bool {
        match self {
            Self::Everything => true,
            Self::Parts(parts) => parts.configured.contains(entity),
        }
    }

    fn has_member(&self, entity: &Entity) -> bool {
        match self {
            Self::Everything => true,
            Self::Parts(parts) => parts.members.contains(entity),
        }
    }
}

/// The commands that make `now` into `wanted`, in an order in which they can be decided. What is the same already is not said again; only a
/// bundle that lets go of what stays is ended, and begins anew. Contents are named by their digests: the log holds what a state of it names.
#[must_use]
pub fn difference(now: &Configuration, wanted: &Configuration, scope: &DifferenceScope) -> Vec<Command> {
    let mut commands = definitions(now, wanted, scope);
    commands.extend(documents(now, wanted, scope));
    commands.extend(removed_definitions(now.compliance(), wanted.compliance(), scope));
    commands.extend(labels(now, wanted, scope));
    commands.extend(memberships(now, wanted, scope));
    commands
}

/// Documents that are to go, then those that are to be there: a path must be free before another document comes there.
fn documents(now: &Configuration, wanted: &Configuration, scope: &DifferenceScope) -> Vec<Command> {
    let goes = |id: &&DocumentId| !wanted.documents().contains_key(*id) && scope.has(&(*id).into());
    let removed = now
        .documents()
        .keys()
        .filter(goes)
        .map(|id| Command::RemoveDocument(RemoveDocument { id: id.clone(), rollout: None }));
    let comes = |(id, put): &(&DocumentId, &DocumentPut)| {
        let entity = Entity::from(*id);
        // What was made of a proposal was accepted for a node as it was then, and no put can say so.
        put.proposal.is_none() && scope.has(&entity) && !is_configured_alike(now, wanted, &entity)
    };
    let put = wanted.documents().iter().map(|(id, document)| (id, &*document.put)).filter(comes);
    removed.chain(put.map(|(id, put)| put_again(id, put))).collect()
}

/// Whether an entity is configured alike in two states, whatever it belongs to. A node that did not take part in both of them all the time
/// has nothing that could be made alike; of a bundle only that it is there.
#[must_use]
pub fn is_configured_alike(one: &Configuration, other: &Configuration, entity: &Entity) -> bool {
    let states = [one, other];
    let id = &entity.id;
    macro_rules! same_definition {
        ($list:ident) => {{
            let [one, other] = states.map(|state| state.compliance().$list().get(id).map(|defined| &defined.said));
            one == other
        }};
    }
    match entity.kind {
        Kind::Document => match states.map(|state| state.documents().get(id)) {
            [Some(one), Some(other)] => is_same_file(&one.put, &other.put),
            [one, other] => one.is_none() == other.is_none(),
        },
        Kind::Node => match states.map(|state| state.nodes().get(id).filter(|node| !node.retired)) {
            [Some(one), Some(other)] if one.enrolled == other.enrolled => one.labels == other.labels,
            _ => true,
        },
        Kind::Bundle => {
            let [one, other] = states.map(|state| state.bundles().all().contains_key(id));
            one == other
        }
        Kind::Control => same_definition!(controls),
        Kind::Component => same_definition!(components),
        Kind::Assessment => same_definition!(assessments),
        Kind::Attestation => same_definition!(attestations),
        _ => true,
    }
}

/// Whether two documents are the same to nodes: which proposal one was made of is what happened.
fn is_same_file(one: &DocumentPut, other: &DocumentPut) -> bool {
    let DocumentPut { path, media_type, digest, size, target, priority, merge, mode, proposal: _ } = one;
    (path, media_type, digest, size) == (&other.path, &other.media_type, &other.digest, &other.size)
        && (target, priority, merge, mode) == (&other.target, &other.priority, &other.merge, &other.mode)
}

fn put_again(id: &DocumentId, put: &DocumentPut) -> Command {
    let DocumentPut { path, media_type, digest, target, priority, merge, mode, .. } = put.clone();
    let (content, rollout) = (PutContent::Named(digest), None);
    Command::PutDocument(PutDocument {
        id: id.clone(),
        path,
        media_type,
        content,
        target,
        priority,
        merge,
        mode,
        rollout,
    })
}

/// Definitions that are to be there, what others refer to first.
fn definitions(now: &Configuration, wanted: &Configuration, scope: &DifferenceScope) -> Vec<Command> {
    let mut commands = Vec::new();
    macro_rules! of_kind {
        ($list:ident, $command:ident) => {
            for (id, defined) in wanted.compliance().$list() {
                let entity = Entity::from(id);
                if scope.has(&entity) && !is_configured_alike(now, wanted, &entity) {
                    commands.push(Command::$command(id.clone(), (*defined.said).clone()));
                }
            }
        };
    }
    of_kind!(controls, DefineControl);
    of_kind!(components, DefineComponent);
    of_kind!(assessments, DefineAssessment);
    of_kind!(attestations, DefineAttestation);
    commands
}

/// Definitions that are to go, what refers to others first.
fn removed_definitions(now: &Compliance, wanted: &Compliance, scope: &DifferenceScope) -> Vec<Command> {
    let mut commands = Vec::new();
    macro_rules! of_kind {
        ($list:ident, $command:ident) => {
            for id in now.$list().keys() {
                if !wanted.$list().contains_key(id) && scope.has(&id.into()) {
                    commands.push(Command::$command(id.clone()));
                }
            }
        };
    }
    of_kind!(attestations, RemoveAttestation);
    of_kind!(assessments, RemoveAssessment);
    of_kind!(components, RemoveComponent);
    of_kind!(controls, RemoveControl);
    commands
}

/// Labels of the nodes that take part in both states.
fn labels(now: &Configuration, wanted: &Configuration, scope: &DifferenceScope) -> Vec<Command> {
    let differs = |id: &&NodeId| {
        let entity = Entity::from(*id);
        scope.has(&entity) && !is_configured_alike(now, wanted, &entity)
    };
    let labelled = |id: &NodeId| Command::LabelNode(id.clone(), wanted.nodes()[id].labels.clone());
    now.nodes().keys().filter(differs).map(labelled).collect()
}

/// What belongs together, once the other commands are carried out.
fn memberships(now: &Configuration, wanted: &Configuration, scope: &DifferenceScope) -> Vec<Command> {
    let Moves { mut joining, leaving } = moves(now, wanted, scope);
    let joins: BTreeSet<Entity> = joining.values().flatten().cloned().collect();
    let ends = |id: &&BundleId| !wanted.bundles().all().contains_key(*id) && scope.has(&(*id).into());
    let ended: BTreeSet<&BundleId> = now.bundles().all().keys().filter(ends).collect();
    // A bundle lets go of what stays only by ending. It begins anew with what is left.
    let mut commands: Vec<Command> = Vec::new();
    for (id, left) in &leaving {
        commands.push(Command::RemoveBundle(id.clone()));
        if !ended.contains(id) {
            let members = now.bundles().all()[id].members.iter();
            let is_kept = |member: &&Entity| !left.contains(*member) && !joins.contains(*member);
            let kept = members.filter(|member| is_kept(member) && stays(now, wanted, scope, member)).cloned();
            joining.entry(id.clone()).or_default().extend(kept);
        }
    }
    let removed = ended.iter().filter(|id| !leaving.contains_key(**id));
    commands.extend(removed.map(|id| Command::RemoveBundle((*id).clone())));
    let begins = |id: &&BundleId| !now.bundles().all().contains_key(*id) && scope.has(&(*id).into());
    for id in wanted.bundles().all().keys().filter(begins) {
        joining.entry(id.clone()).or_default();
    }
    commands.extend(joining.into_iter().map(|(id, members)| {
        let empty = members.is_empty();
        Command::AssignBundle(AssignBundle { id, members, take: true, empty, grow: !empty })
    }));
    commands
}

/// Entities that change their bundle.
struct Moves {
    /// The entities that join each bundle.
    joining: BTreeMap<BundleId, BTreeSet<Entity>>,
    /// The entities that belong to a bundle, and are to stay and belong to none.
    leaving: BTreeMap<BundleId, BTreeSet<Entity>>,
}

fn moves(now: &Configuration, wanted: &Configuration, scope: &DifferenceScope) -> Moves {
    let (mut joining, mut leaving) = (BTreeMap::<_, BTreeSet<_>>::new(), BTreeMap::<_, BTreeSet<_>>::new());
    let owned =
        |bundles: &Bundles| bundles.all().values().flat_map(|bundle| bundle.members.clone()).collect::<Vec<_>>();
    let owned: BTreeSet<Entity> = owned(now.bundles()).into_iter().chain(owned(wanted.bundles())).collect();
    for entity in owned.into_iter().filter(|entity| scope.has_member(entity) && stays(now, wanted, scope, entity)) {
        match (now.bundles().owner(&entity), wanted.bundles().owner(&entity)) {
            (present, Some(owner)) if present != Some(owner) => {
                joining.entry(owner.clone()).or_default().insert(entity);
            }
            (Some(owner), None) => {
                leaving.entry(owner.clone()).or_default().insert(entity);
            }
            _ => {}
        }
    }
    Moves { joining, leaving }
}

/// Whether an entity is there once the other commands are carried out.
fn stays(now: &Configuration, wanted: &Configuration, scope: &DifferenceScope, entity: &Entity) -> bool {
    match entity.kind {
        // Enrolment is not brought back.
        Kind::Node => is_there(now, entity),
        // A document of a proposal is not brought back.
        Kind::Document if scope.has(entity) && !is_there(now, entity) => {
            wanted.documents().get(&entity.id).is_some_and(|document| document.put.proposal.is_none())
        }
        _ if scope.has(entity) => is_there(wanted, entity),
        _ => is_there(now, entity),
    }
}

fn is_there(state: &Configuration, entity: &Entity) -> bool {
    state.recorded(entity).is_some()
}
