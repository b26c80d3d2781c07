//! Folding of changes of compliance, and of the jobs that follow from them.
//!
//! A job's cached spec is dropped exactly when something changes that the spec depends on. No spec is rendered here; the
//! next reader renders it.

use alloc::vec::Vec;

use schema::change::Change;
use schema::desired::Source;
use schema::event::Event;
use schema::id::{JobId, NodeId};

use super::affected_nodes::AffectedNodes;
use crate::configuration::Configuration;

impl Configuration {
    /// Applies a change of compliance. It affects the holders of the jobs whose specs depend on it, before or after.
    pub(super) fn apply_compliance_change(&mut self, event: &Event, change: &Change) -> AffectedNodes {
        let mut affected = self.compliance.attestations_with(&event.entity);
        self.compliance.apply_change(event, change);
        affected.append(&mut self.compliance.attestations_with(&event.entity));
        let source = Source { entity: event.entity.clone(), version: event.version, position: event.position };
        let holders = affected.into_iter().filter_map(|attestation| match change {
            Change::AttestationRemoved => self.jobs.remove(&JobId::derived(&attestation), event.position),
            _ => self.jobs.respecify(attestation, &source, event.cause()),
        });
        let holders: Vec<NodeId> = holders.collect();
        self.known(holders)
    }
}
