//! Checks of the events of bundles: an entity belongs to one bundle at most.

use alloc::collections::BTreeSet;

use projections::configuration::Configuration;
use schema::bundle::{BundleAssigned, OWNED_KINDS};
use schema::event::Event;
use schema::id::BundleId;

use super::presence::all;
use super::rule::holds;
use crate::event_error::EventError;

pub(super) fn assigned(state: &Configuration, event: &Event, assigned: &BundleAssigned) -> Result<(), EventError> {
    let id = BundleId::from(event.entity.id.clone());
    let each: BTreeSet<_> = assigned.joined.iter().chain(&assigned.left).collect();
    holds(event, each.len() == assigned.joined.len() + assigned.left.len(), "each entity once")?;
    let owner = |entity| state.bundles().owner(entity);
    holds(event, assigned.left.iter().all(|entity| owner(entity) == Some(&id)), "members of the bundle to leave it")?;
    holds(event, assigned.joined.iter().all(|entity| owner(entity).is_none()), "members of no bundle to join it")?;
    let may_join = assigned.joined.iter().all(|entity| OWNED_KINDS.contains(&entity.kind));
    holds(event, may_join, "documents, nodes and definitions to join it")?;
    all(state, event, assigned.joined.iter().cloned())
}
