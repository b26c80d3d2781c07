//! A change of what is to be assessed, and the jobs that follow from it.
//!
//! A job forgets its spec exactly where something changes that the spec follows from, so that no spec is remembered for
//! longer than it is true. None is rendered here: whoever asks next has it rendered.

use alloc::vec::Vec;

use schema::change::Change;
use schema::desired::Source;
use schema::event::Event;
use schema::id::{JobId, NodeId};

use super::affected_nodes::AffectedNodes;
use crate::configuration::Configuration;

impl Configuration {
    /// Takes a change of what is to be assessed in. It concerns the holders of the job specs that follow from it, before
    /// or after.
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
