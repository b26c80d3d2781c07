//! The folded bundles: which entities belong together. An entity belongs to one bundle at most.

use imbl::{OrdMap, OrdSet};
use schema::bundle::BundleAssigned;
use schema::entity::Entity;
use schema::event::Event;
use schema::id::BundleId;
use schema::instant::Instant;
use schema::position::{Position, Version};

/// All bundles, and the owner of each entity that has one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundles {
    by_id: OrdMap<BundleId, Bundle>,
    owners: OrdMap<Entity, BundleId>,
}

/// A bundle that is present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// What belongs to it.
    pub members: OrdSet<Entity>,
    /// The version that its last event made.
    pub version: Version,
    /// The position of that event.
    pub position: Position,
    /// The time of that event.
    pub at: Instant,
}

impl Bundles {
    /// The bundles, by id.
    #[must_use]
    pub fn all(&self) -> &OrdMap<BundleId, Bundle> {
        &self.by_id
    }

    /// The bundle that an entity belongs to.
    #[must_use]
    pub fn owner(&self, entity: &Entity) -> Option<&BundleId> {
        self.owners.get(entity)
    }

    pub(crate) fn assign(&mut self, id: BundleId, event: &Event, assigned: &BundleAssigned) {
        let (version, position, at) = (event.version, event.position, event.at);
        let bundle = self.by_id.entry(id.clone()).or_insert(Bundle { members: OrdSet::new(), version, position, at });
        (bundle.version, bundle.position, bundle.at) = (version, position, at);
        for entity in &assigned.left {
            bundle.members.remove(entity);
            self.owners.remove(entity);
        }
        for entity in &assigned.joined {
            bundle.members.insert(entity.clone());
            self.owners.insert(entity.clone(), id.clone());
        }
    }

    /// The bundle ends, and owns nothing any more.
    pub(crate) fn remove(&mut self, id: &BundleId) {
        let Some(bundle) = self.by_id.remove(id) else { return };
        for entity in &bundle.members {
            self.owners.remove(entity);
        }
    }

    /// An entity that was removed belongs to no bundle any more.
    pub(crate) fn end_membership(&mut self, entity: &Entity) {
        let Some(owner) = self.owners.remove(entity) else { return };
        if let Some(bundle) = self.by_id.get_mut(&owner) {
            bundle.members.remove(entity);
        }
    }
}
