//! Folding of proposals. A proposal touches no record: what is desired follows from the document that is made of it.

use alloc::sync::Arc;

use schema::change::Change;
use schema::event::Event;
use schema::id::ProposalId;
use schema::proposal::ProposalState;

use super::AffectedNodes;
use crate::configuration::Configuration;
use crate::proposals::{Proposal, ProposalEnd};

impl Configuration {
    /// Applies a change of a proposal.
    pub(super) fn apply_proposal_change(&mut self, event: &Event, change: &Change) -> AffectedNodes {
        let id = ProposalId::from(event.entity.id.clone());
        let (version, position, at) = (event.version, event.position, event.at);
        let end = |state| ProposalEnd { state, code: None, position, at };
        let end = match change {
            Change::Proposed(said) => {
                self.proposals.insert(id, Proposal { said: Arc::clone(said), position, at, version, end: None });
                return AffectedNodes::new();
            }
            Change::ProposalAccepted(_) => end(ProposalState::Accepted),
            Change::ProposalRejected(rejected) => ProposalEnd { code: rejected.code, ..end(ProposalState::Rejected) },
            Change::ProposalSuperseded(_) => end(ProposalState::Superseded),
            Change::ProposalWithdrawn(_) => end(ProposalState::Withdrawn),
            _ => return AffectedNodes::new(),
        };
        self.proposals.end(&id, version, end);
        AffectedNodes::new()
    }
}
