//! What is taken back: of what one request did, or of all that happened since a state.
//!
//! Which commands take it back is for [`difference`](crate::difference) to say. Here is what they are about, and what they leave alone.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use schema::change::Change;
use schema::entity::{Entity, Kind};
use schema::event::Event;
use schema::id::{BundleId, NodeId};

use crate::configuration::Configuration;
use crate::difference::is_same;

/// What a request did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestTrace {
    /// What it configured, and can be configured as before.
    pub configured: BTreeSet<Entity>,
    /// What happened by it for good, with the type of the event.
    pub lasting: BTreeMap<Entity, String>,
}

impl RequestTrace {
    /// What a request with these events did to the state before it.
    #[must_use]
    pub fn of(before: &Configuration, events: &[Event]) -> Self {
        let mut trace = Self::default();
        for event in events {
            let entity = event.entity.clone();
            match event.change() {
                Ok(Change::PlanKept(_)) => {}
                Ok(Change::BundleAssigned(assigned)) => {
                    // A bundle that was there before goes on: only what joined or left it is the request's.
                    if before.recorded(&entity).is_none() {
                        trace.configured.insert(entity);
                    }
                    trace.configured.extend(assigned.joined.iter().chain(&assigned.left).cloned());
                }
                Ok(change) if can_be_configured_as_before(&change) => {
                    trace.configured.insert(entity);
                }
                _ => {
                    trace.lasting.insert(entity, event.event_type.clone());
                }
            }
        }
        trace
    }
}

fn can_be_configured_as_before(change: &Change) -> bool {
    match change {
        Change::NodeLabelled(_) | Change::BundleRemoved => true,
        _ => matches!(
            change.kind(),
            Kind::Document | Kind::Control | Kind::Component | Kind::Assessment | Kind::Attestation
        ),
    }
}

/// The entities that are not as `after` left them, nor as they were before: somebody changed them since.
pub fn changed_since<'a>(
    [before, after, now]: [&'a Configuration; 3],
    entities: &'a BTreeSet<Entity>,
) -> impl Iterator<Item = &'a Entity> {
    entities.iter().filter(move |entity| !is_same(now, after, entity) && !is_same(now, before, entity))
}

/// What is meant by entities that a person names: with a bundle all that belongs to it, in one state or another.
#[must_use]
pub fn with_members(named: &BTreeSet<Entity>, states: [&Configuration; 2]) -> BTreeSet<Entity> {
    let bundles =
        named.iter().filter(|entity| entity.kind == Kind::Bundle).map(|entity| BundleId::from(entity.id.clone()));
    let members = bundles.flat_map(|id| {
        let of = |state: &Configuration| state.bundles().all().get(&id).map(|bundle| bundle.members.clone());
        states.into_iter().filter_map(of).flatten().collect::<Vec<_>>()
    });
    members.chain(named.iter().cloned()).collect()
}

/// What happened to a node between two states, and is never taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Participation {
    /// It was enrolled, and stays enrolled.
    Enrolled,
    /// It was retired, and stays retired.
    Retired,
}

/// The nodes that take part in one of two states only.
pub fn changed_participation<'a>(
    now: &'a Configuration,
    wanted: &'a Configuration,
) -> impl Iterator<Item = (&'a NodeId, Participation)> {
    let takes_part = |state: &Configuration, id: &NodeId| state.nodes().get(id).is_some_and(|node| !node.retired);
    // A node is never forgotten, so that the later state knows all of them.
    now.nodes().keys().filter_map(move |id| match (takes_part(now, id), takes_part(wanted, id)) {
        (true, false) => Some((id, Participation::Enrolled)),
        (false, true) => Some((id, Participation::Retired)),
        _ => None,
    })
}
