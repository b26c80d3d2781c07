//! A change of who runs a job.
//!
//! What ends a claim frees the job only if that claim is still on it. All else that proves a claim was checked when the
//! change was decided, and is not checked again.

use schema::change::Change;
use schema::event::Event;
use schema::id::JobId;
use schema::position::Position;

use super::affected_nodes::AffectedNodes;
use crate::configuration::Configuration;

impl Configuration {
    /// Takes a change of a claim in. It concerns the record of whoever has or had the job; a run and a renewal concern
    /// none.
    pub(super) fn apply_claim_change(&mut self, event: &Event, change: &Change) -> AffectedNodes {
        let (job, position) = (JobId::from(event.entity.id.clone()), event.position);
        let holder = match change {
            Change::JobClaimed(claimed) => {
                let labelled = self.nodes.get(&claimed.runtime).map_or(Position::ZERO, |node| node.labelled);
                self.jobs.claim(&job, claimed, position, labelled)
            }
            Change::JobReleased(released) => self.jobs.end(&job, released.token, position),
            Change::ClaimExpired(expired) => self.jobs.end(&job, expired.token, position),
            Change::JobCompleted(completed) => {
                self.jobs.complete(&job, event, completed);
                None
            }
            Change::ClaimRenewed => {
                self.jobs.renew(event.entity.id.clone().into(), position);
                None
            }
            _ => None,
        };
        self.known(holder)
    }
}
