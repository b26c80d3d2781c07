//! Who ended a proposal, and why: as HTTP shows it, and as its node is told.

use projections::proposals::ProposalEnd;
use schema::change::Change;
use schema::event::Event;

/// Who decides where a rule of the log does.
const SYSTEM: &str = "system";

/// Who ended a proposal, and why, in their words. `event` is the one that ended it.
#[must_use]
pub(crate) fn decided_by(end: &ProposalEnd, event: &Event) -> (String, Option<String>) {
    let by = if end.code.is_some() { SYSTEM.to_owned() } else { event.actor.to_string() };
    let reason = match event.change() {
        Ok(Change::ProposalRejected(rejected)) => rejected.reason,
        Ok(Change::ProposalAccepted(_)) => event.reason.clone(),
        // The request is one of the node, whose reason is that of the proposal.
        _ => None,
    };
    (by, reason)
}
