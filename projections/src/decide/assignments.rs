//! What a request says of bundles, as a whole: what one of its commands lets go, another one may take up.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use schema::command::{AssignBundle, Command};
use schema::entity::Entity;
use schema::id::BundleId;
use schema::request::RequestItem;

/// The bundles that a request assigns, and what each of them is to have.
#[derive(Clone, Debug, Default)]
pub struct Assignments {
    /// The bundles that come to have what is declared and nothing else.
    exact: BTreeSet<BundleId>,
    /// The bundles that only grow.
    growing: BTreeSet<BundleId>,
    /// The bundles that the request ends.
    ended: BTreeSet<BundleId>,
    declared: BTreeMap<Entity, BundleId>,
}

impl Assignments {
    /// The assignments of a request.
    #[must_use]
    pub fn of(commands: &[RequestItem]) -> Self {
        let mut all = Self::default();
        let assigned = commands.iter().filter_map(|item| match &item.command {
            Command::AssignBundle(assign) => Some(assign),
            Command::RemoveBundle(id) => {
                all.ended.insert(id.clone());
                None
            }
            _ => None,
        });
        let assigned: Vec<&AssignBundle> = assigned.collect();
        for assign in assigned {
            let kind = if assign.grow { &mut all.growing } else { &mut all.exact };
            kind.insert(assign.id.clone());
            for member in &assign.members {
                all.declared.entry(member.clone()).or_insert_with(|| assign.id.clone());
            }
        }
        all
    }

    /// Whether the request says what becomes of a bundle.
    #[must_use]
    pub fn has(&self, bundle: &BundleId) -> bool {
        [&self.exact, &self.growing, &self.ended].into_iter().any(|bundles| bundles.contains(bundle))
    }

    /// Whether an entity that belongs to `owner` leaves it by another assignment of the request.
    pub(super) fn releases(&self, owner: &BundleId, entity: &Entity) -> bool {
        self.exact.contains(owner) && self.declared.get(entity).is_some_and(|declared| declared != owner)
    }
}
