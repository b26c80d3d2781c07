//! The proposals of nodes: those that wait for a decision, and what became of the others.
//!
//! An ended proposal stays, because a node may ask for its verdict long afterwards, and because its id may never be used again.
//! What people said about it is not kept: the two events that it names have that.

use alloc::sync::Arc;

use imbl::{OrdMap, OrdSet};
use schema::id::{NodeId, ProposalId};
use schema::instant::Instant;
use schema::path::DocumentPath;
use schema::position::{Position, Version};
use schema::proposal::{ProposalState, Proposed, RejectionCode};

use crate::selector_index;

/// All proposals that were ever made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proposals {
    all: OrdMap<ProposalId, Proposal>,
    by_position: OrdMap<Position, ProposalId>,
    open: OrdMap<NodeId, OrdSet<ProposalId>>,
}

/// A proposal, open or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The data of its `Proposed`.
    pub said: Arc<Proposed>,
    /// The position of this event.
    pub position: Position,
    /// The time of this event.
    pub at: Instant,
    /// How many events the proposal has had.
    pub version: Version,
    /// The event that ended it; none while it is open.
    pub end: Option<ProposalEnd>,
}

/// How and when a proposal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProposalEnd {
    /// Its state from then on; never `Open`.
    pub state: ProposalState,
    /// The rule of the log that rejected it.
    pub code: Option<RejectionCode>,
    /// The position of the event.
    pub position: Position,
    /// The time of the event.
    pub at: Instant,
}

impl Proposal {
    /// What became of it.
    #[must_use]
    pub fn state(&self) -> ProposalState {
        self.end.map_or(ProposalState::Open, |end| end.state)
    }

    /// Whether it waits for a decision.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.end.is_none()
    }
}

impl Proposals {
    /// The proposal of this id.
    #[must_use]
    pub fn get(&self, id: &ProposalId) -> Option<&Proposal> {
        self.all.get(id)
    }

    /// All proposals, by id.
    #[must_use]
    pub fn all(&self) -> &OrdMap<ProposalId, Proposal> {
        &self.all
    }

    /// All proposals that were made after a position, the oldest first.
    pub fn after(&self, position: Position) -> impl Iterator<Item = (&ProposalId, &Proposal)> {
        self.by_position.range(position.next()..).filter_map(|(_, id)| self.all.get_key_value(id))
    }

    /// The open proposals of all nodes, ordered by node.
    pub fn open(&self) -> impl Iterator<Item = (&ProposalId, &Proposal)> {
        self.open.values().flatten().filter_map(|id| self.all.get_key_value(id))
    }

    /// The open proposals of a node.
    pub fn open_of(&self, node: &NodeId) -> impl Iterator<Item = (&ProposalId, &Proposal)> {
        self.open.get(node).into_iter().flatten().filter_map(|id| self.all.get_key_value(id))
    }

    /// The open proposal of a node for a path. There is at most one but within the request that supersedes it.
    pub(crate) fn open_at(&self, node: &NodeId, path: &DocumentPath) -> Option<&ProposalId> {
        self.open_of(node).find(|(_, proposal)| proposal.said.path == *path).map(|(id, _)| id)
    }

    pub(crate) fn insert(&mut self, id: ProposalId, proposal: Proposal) {
        self.by_position.insert(proposal.position, id.clone());
        selector_index::insert(&mut self.open, &proposal.said.node, &id);
        self.all.insert(id, proposal);
    }

    pub(crate) fn end(&mut self, id: &ProposalId, version: Version, end: ProposalEnd) {
        let Some(proposal) = self.all.get_mut(id) else { return };
        proposal.version = version;
        proposal.end = Some(end);
        selector_index::remove(&mut self.open, &proposal.said.node, id);
    }
}
