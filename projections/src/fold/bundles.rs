//! Folding of bundles and marks, and of plans that were kept. They touch no record: what a node runs does not depend on who manages it.

use schema::change::Change;
use schema::event::Event;

use super::AffectedNodes;
use crate::configuration::{Configuration, Mark};

impl Configuration {
    pub(super) fn apply_bundle_change(&mut self, event: &Event, change: &Change) -> AffectedNodes {
        let id = event.entity.id.clone();
        match change {
            Change::BundleAssigned(assigned) => self.bundles.assign(id.into(), event, assigned),
            Change::BundleRemoved => self.bundles.remove(&id.into()),
            Change::Marked(marked) => {
                let mark =
                    Mark { names: marked.position, version: event.version, position: event.position, at: event.at };
                self.marks.insert(id.into(), mark);
            }
            _ => {}
        }
        AffectedNodes::new()
    }
}
