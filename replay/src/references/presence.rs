//! Whether the entities that an event refers to are there.

use projections::configuration::Configuration;
use schema::entity::{Entity, Kind};
use schema::event::Event;
use schema::id::{JobId, NodeId};
use schema::position::Version;

use crate::event_error::EventError;

/// Checks that all of these are there.
pub(super) fn all(
    state: &Configuration,
    event: &Event,
    entities: impl IntoIterator<Item = Entity>,
) -> Result<(), EventError> {
    match entities.into_iter().find(|entity| !is_there(state, entity)) {
        Some(to) => Err(EventError::Dangling { entity: event.entity.clone(), to }),
        None => Ok(()),
    }
}

fn is_there(state: &Configuration, entity: &Entity) -> bool {
    match entity.kind {
        // A job is there with its attestation, and has events of its own only once it was claimed.
        Kind::Job => state.jobs().all().contains_key(&JobId::from(entity.id.clone())),
        _ => state.version_present(entity) != Version::ZERO,
    }
}

/// A node that is enrolled and not retired.
pub(super) fn runtime(state: &Configuration, event: &Event, node: &NodeId) -> Result<(), EventError> {
    match state.nodes().get(node) {
        Some(known) if !known.retired => Ok(()),
        _ => Err(EventError::Dangling { entity: event.entity.clone(), to: node.into() }),
    }
}
