//! What is taken back: of what one request did, or of all that happened since a state.
//!
//! Which commands take it back is for [`difference`](crate::difference) to say. Here is what they are about, and what they leave alone.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use schema::bundle::BundleAssigned;
use schema::change::Change;
use schema::entity::{Entity, Kind};
use schema::event::Event;
use schema::id::BundleId;

use crate::configuration::Configuration;
use crate::difference::{DifferenceParts, is_configured_alike};

/// What a request did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestTrace {
    /// What can be made as it was before.
    pub parts: DifferenceParts,
    /// What happened by it for good, with the type of the event.
    pub lasting: BTreeMap<Entity, String>,
}

impl RequestTrace {
    /// What a request with these events did to the state before it.
    #[must_use]
    pub fn of(before: &Configuration, events: &[Event]) -> Self {
        let mut trace = Self::default();
        for event in events {
            match event.change() {
                Ok(Change::PlanKept(_)) => {}
                Ok(change) if can_be_taken_back(before, &event.entity, &change) => {
                    trace.note(before, &event.entity, &change);
                }
                _ => drop(trace.lasting.insert(event.entity.clone(), event.event_type.clone())),
            }
        }
        trace
    }

    fn note(&mut self, before: &Configuration, entity: &Entity, change: &Change) {
        let DifferenceParts { configured, members } = &mut self.parts;
        match change {
            Change::BundleAssigned(assigned) => {
                let BundleAssigned { joined, left, .. } = &**assigned;
                members.extend(joined.iter().chain(left).cloned());
                // A bundle that was there before goes on: only what joined or left it is the request's.
                if before.recorded(entity).is_none() {
                    configured.insert(entity.clone());
                }
            }
            Change::BundleRemoved => {
                members.extend(
                    before.bundles().all().get(&entity.id).into_iter().flat_map(|bundle| bundle.members.clone()),
                );
                configured.insert(entity.clone());
            }
            _ => {
                // What comes or goes comes to a bundle, or leaves one.
                if change.removes() || before.recorded(entity).is_none() {
                    members.insert(entity.clone());
                }
                configured.insert(entity.clone());
            }
        }
    }
}

/// Whether an event is about what people configure, so that it can be as it was before.
#[must_use]
pub fn can_be_taken_back(before: &Configuration, entity: &Entity, change: &Change) -> bool {
    match change {
        Change::NodeLabelled(_) | Change::BundleAssigned(_) | Change::BundleRemoved => true,
        // A proposal is accepted for a node as it was then. What follows it is not repeated by a put.
        Change::DocumentPut(_) | Change::DocumentRemoved => {
            let is_proposed = matches!(change, Change::DocumentPut(put) if put.proposal.is_some());
            let was_proposed =
                before.documents().get(&entity.id).is_some_and(|document| document.put.proposal.is_some());
            !is_proposed && !was_proposed
        }
        _ => matches!(change.kind(), Kind::Control | Kind::Component | Kind::Assessment | Kind::Attestation),
    }
}

/// What others changed since: it is neither as the request left it nor as it was before.
#[must_use]
pub fn changed_since([before, after, now]: [&Configuration; 3], parts: &DifferenceParts) -> BTreeSet<Entity> {
    let is_changed = |entity: &&Entity| {
        let is_other = !is_configured_alike(now, after, entity) && !is_configured_alike(now, before, entity);
        is_other || (entity.kind == Kind::Bundle && has_other_members([before, after, now], entity))
    };
    let is_moved = |entity: &&Entity| {
        let owner = |state: &Configuration| state.bundles().owner(entity).cloned();
        owner(now) != owner(after) && owner(now) != owner(before)
    };
    // A bundle that others ended is not begun anew with what comes back.
    let is_ended =
        |id: &&BundleId| !now.bundles().all().contains_key(*id) && !parts.configured.contains(&Entity::from(*id));
    let owners = parts
        .members
        .iter()
        .filter(|entity| is_to_move(now, before, entity))
        .filter_map(|entity| before.bundles().owner(entity));
    let changed = parts.configured.iter().filter(is_changed).cloned();
    let moved = parts.members.iter().filter(is_moved).cloned();
    changed.chain(moved).chain(owners.filter(is_ended).map(Entity::from)).collect()
}

fn is_to_move(now: &Configuration, before: &Configuration, entity: &Entity) -> bool {
    now.bundles().owner(entity) != before.bundles().owner(entity)
}

/// Whether a bundle that the request made has members that nobody but others gave it.
fn has_other_members([before, after, now]: [&Configuration; 3], bundle: &Entity) -> bool {
    let members = |state: &Configuration| state.bundles().all().get(&bundle.id).map(|bundle| bundle.members.clone());
    let known = [before, after].map(|state| members(state).unwrap_or_default());
    members(now).is_some_and(|present| present.iter().any(|member| !known.iter().any(|known| known.contains(member))))
}

/// What is meant by entities that a person names: with a bundle all that belongs to it, in one state or another.
#[must_use]
pub fn with_members(named: &BTreeSet<Entity>, states: [&Configuration; 2]) -> BTreeSet<Entity> {
    let bundles = named.iter().filter(|entity| entity.kind == Kind::Bundle);
    let members = bundles.flat_map(|bundle| {
        let of = |state: &Configuration| state.bundles().all().get(&bundle.id).map(|bundle| bundle.members.clone());
        states.into_iter().filter_map(of).flatten().collect::<Vec<_>>()
    });
    members.chain(named.iter().cloned()).collect()
}

/// Why an entity is not as it was, although all that can be taken back is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastingReason {
    /// The node was enrolled since, and stays enrolled.
    Enrolled,
    /// The node was retired since, and stays retired.
    Retired,
    /// The document was made of a proposal, which is not accepted again.
    Proposed,
    /// An open rollout changes the document, and goes on.
    RolledOut,
}

impl LastingReason {
    /// The reason as it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enrolled => "enrolled",
            Self::Retired => "retired",
            Self::Proposed => "proposed",
            Self::RolledOut => "rolled_out",
        }
    }
}

/// What stays as it is between two states of which the later one is to become as the earlier one.
pub fn lasting<'a>(now: &'a Configuration, wanted: &'a Configuration) -> impl Iterator<Item = (Entity, LastingReason)> {
    // A node is never forgotten, so that the later state knows all of them.
    let nodes = now.nodes().iter().filter_map(|(id, node)| {
        let enrolled_before = wanted.nodes().get(id).filter(|node| !node.retired).map(|node| node.enrolled);
        match (node.retired, enrolled_before) {
            (true, Some(_)) => Some((id.into(), LastingReason::Retired)),
            (false, before) if before != Some(node.enrolled) => Some((id.into(), LastingReason::Enrolled)),
            _ => None,
        }
    });
    let documents = wanted.documents().iter().filter_map(|(id, document)| {
        let is_left = document.put.proposal.is_some() && !is_configured_alike(now, wanted, &id.into());
        is_left.then(|| (id.into(), LastingReason::Proposed))
    });
    let staged = |state: &Configuration, id| state.rollouts().underway(id).map(|staged| staged.position);
    let rolled_out = now.rollouts().staged().keys().filter_map(move |id| {
        let is_new = staged(now, id).is_some() && staged(now, id) != staged(wanted, id);
        is_new.then(|| (id.into(), LastingReason::RolledOut))
    });
    nodes.chain(documents).chain(rolled_out)
}
