//! The data of events about bundles, marks and plans that were kept.
//!
//! A bundle owns documents, definitions and nodes, each of which belongs to one bundle at most. A mark is a name for a position. A plan that
//! was kept says that a request came out exactly as it had been shown.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::entity::{Entity, Kind};
use crate::id::EventId;
use crate::limit::BUNDLE_EVENT_ENTITIES_MAX;
use crate::position::Position;

/// Entities that joined a bundle, and those that left it. One event has at most 1,000 of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleAssigned {
    /// The entities that belong to the bundle from the event on.
    pub joined: Vec<Entity>,
    /// The entities that belonged to it until the event.
    pub left: Vec<Entity>,
}

impl BundleAssigned {
    /// As many events as these entities need; none if nothing joins or leaves.
    #[must_use]
    pub fn in_parts(joined: &[Entity], left: &[Entity]) -> Vec<Self> {
        let joining = joined.iter().map(|entity| (entity, true));
        let moves: Vec<(&Entity, bool)> = joining.chain(left.iter().map(|entity| (entity, false))).collect();
        let part = |moves: &[(&Entity, bool)]| {
            let (joined, left): (Vec<_>, Vec<_>) = moves.iter().partition(|(_, joins)| *joins);
            let entities = |moves: Vec<(&Entity, bool)>| moves.into_iter().map(|(entity, _)| entity.clone()).collect();
            Self { joined: entities(joined), left: entities(left) }
        };
        moves.chunks(BUNDLE_EVENT_ENTITIES_MAX).map(part).collect()
    }
}

/// The kinds of entities that a bundle may own.
pub const OWNED_KINDS: [Kind; 6] =
    [Kind::Document, Kind::Node, Kind::Control, Kind::Component, Kind::Assessment, Kind::Attestation];

/// The position that a mark names from an event on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marked {
    /// The position.
    pub position: Position,
}

/// A request that came out as its plan had shown it: the other events of the request have this outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanKept {
    /// The digest of the plan.
    pub plan: Digest,
    /// The state that the server compared the plan with before it decided the request.
    pub base: PlanBase,
}

/// The state that a plan was made against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct PlanBase {
    /// The position of the last event of that state.
    pub position: Position,
    /// The id of that event; null on the empty log.
    pub event_id: Option<EventId>,
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn an_event_has_no_more_entities_than_fit() {
        let entities = |count: usize| -> Vec<Entity> {
            (0..count).map(|index| format!("document/d-{index}").parse().expect("an entity")).collect()
        };
        assert_eq!(BundleAssigned::in_parts(&[], &[]), []);
        let parts = BundleAssigned::in_parts(&entities(1_500), &entities(700));
        let sizes: Vec<_> = parts.iter().map(|part| (part.joined.len(), part.left.len())).collect();
        assert_eq!(sizes, [(1_000, 0), (500, 500), (0, 200)]);
        let joined: Vec<Entity> = parts.iter().flat_map(|part| part.joined.clone()).collect();
        assert_eq!(joined, entities(1_500));
    }
}
