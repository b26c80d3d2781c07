//! Folding of changes of claims.
//!
//! The end of a claim frees the job only if that claim is the current one. Everything else about a claim was checked when
//! the change was decided.

use schema::change::Change;
use schema::event::Event;
use schema::id::JobId;
use schema::position::Position;

use super::affected_nodes::AffectedNodes;
use crate::configuration::Configuration;

impl Configuration {
    /// Applies a change of a claim. It affects the record of the job's old or new holder; a run and a renewal affect none.
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
