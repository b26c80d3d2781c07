//! Decisions about proposals: made and taken back by nodes, accepted and rejected by administrators.
//!
//! Whether a proposal is stale is a question about values: is the file that is desired at its path now the one that the node had
//! when it proposed? So a change that was undone, or that has nothing to do with the path, is no obstacle.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use schema::change::{Change, DocumentPut};
use schema::command::{AcceptProposal, Merge, Propose, RejectProposal};
use schema::digest::Digest;
use schema::entity::Entity;
use schema::id::{DocumentId, NodeId, ProposalId, ProposalUuid};
use schema::limit::PROPOSALS_OPEN_MAX;
use schema::proposal::{
    PRIORITY_DEFAULT, ProposalAccepted, ProposalRejected, ProposalSuperseded, ProposalWithdrawn, Proposed,
    RejectionCode,
};
use schema::target::Target;

use super::checks::{is_json, no_file_is_a_folder};
use super::nodes::active;
use super::rollouts::is_free;
use crate::configuration::Configuration;
use crate::proposals::Proposal;
use crate::refusal::{Refusal, StaleProposal};

impl Configuration {
    /// The digest of the file that is desired of the node at the proposal's path; none if none is.
    #[must_use]
    pub fn desired_now(&self, said: &Proposed) -> Option<Digest> {
        self.document_in_force(&said.node, &said.path).map(|(_, document)| document.put.digest)
    }

    /// Whether an open proposal rests on another file than is desired now.
    #[must_use]
    pub fn is_stale(&self, proposal: &Proposal) -> bool {
        proposal.is_open() && self.desired_now(&proposal.said) != proposal.said.base.digest
    }
}

/// Opens a proposal. It takes the place of the node's open one for the path, and a stale one is rejected at once. The same one
/// again, under the same id, changes nothing.
pub(super) fn propose(state: &Configuration, propose: &Propose) -> Result<Vec<(Entity, Change)>, Refusal> {
    let Propose { node, uuid, path, media_type, content, base } = propose.clone();
    let (digest, size) = (content.digest(), content.bytes().len() as u64);
    let said = Proposed { node, uuid, path, media_type, digest, size, base };
    let id = said.id();
    match state.proposals().get(&id) {
        Some(known) if *known.said == said => return Ok(Vec::new()),
        Some(_) => return Err(Refusal::ProposalReused(id)),
        None => {}
    }
    active(state, &said.node)?;
    is_json(&said.media_type, &content.into())?;
    let node = said.node.clone();
    let older = state.proposals().open_at(&node, &said.path);
    if older.is_none() && state.proposals().open_of(&node).count() >= PROPOSALS_OPEN_MAX {
        return Err(Refusal::TooManyProposals(node));
    }
    let superseded = older.map(|older| {
        let by = ProposalSuperseded { node: node.clone(), by: id.clone() };
        (older.into(), Change::ProposalSuperseded(by))
    });
    let is_stale = state.desired_now(&said) != said.base.digest;
    let rejected = is_stale.then(|| rejected_by_rule(&id, node, RejectionCode::Stale));
    let proposed = ((&id).into(), Change::Proposed(Arc::new(said)));
    Ok([Some(proposed), superseded, rejected].into_iter().flatten().collect())
}

fn rejected_by_rule(id: &ProposalId, node: NodeId, code: RejectionCode) -> (Entity, Change) {
    (id.into(), Change::ProposalRejected(ProposalRejected { node, code: Some(code), reason: None }))
}

/// Taking back what has ended changes nothing: the node learns how it ended.
pub(super) fn withdraw(state: &Configuration, node: &NodeId, uuid: ProposalUuid) -> Result<Option<Change>, Refusal> {
    let id = ProposalId::derived(node, uuid);
    let proposal = state.proposals().get(&id).ok_or_else(|| Refusal::Unknown((&id).into()))?;
    Ok(proposal.is_open().then(|| Change::ProposalWithdrawn(ProposalWithdrawn { node: node.clone() })))
}

/// Makes a document of the proposal, for its node alone. No shared document is changed.
pub(super) fn accept(state: &Configuration, accept: &AcceptProposal) -> Result<Vec<(Entity, Change)>, Refusal> {
    let AcceptProposal { id, priority, anyway } = accept;
    let proposal = open(state, id)?;
    let said = &*proposal.said;
    if !anyway && state.is_stale(proposal) {
        let (base, now) = (said.base.digest, state.desired_now(said));
        let stale = StaleProposal { id: id.clone(), base, now, proposed: said.digest };
        return Err(Refusal::ProposalStale(Box::new(stale)));
    }
    let document = said.document();
    if state.documents().get(&document).is_some_and(|present| present.put.proposal.is_none()) {
        return Err(Refusal::DocumentTaken(document));
    }
    is_free(state, &document)?;
    no_file_is_a_folder(state, &document, &said.path, None)?;
    // A node proposes bytes. Whether its file can be run stays as it is.
    let mode = state.mode_in_force(&said.node, &said.path);
    let put = DocumentPut {
        path: said.path.clone(),
        media_type: said.media_type.clone(),
        digest: said.digest,
        size: said.size,
        target: Target::Nodes([said.node.clone()].into()),
        priority: priority.unwrap_or(PRIORITY_DEFAULT),
        merge: Merge::Replace,
        proposal: Some(id.clone()),
        mode,
    };
    let accepted = ProposalAccepted { node: said.node.clone(), document: document.clone() };
    Ok(vec![(id.into(), Change::ProposalAccepted(accepted)), ((&document).into(), Change::DocumentPut(Arc::new(put)))])
}

pub(super) fn reject(state: &Configuration, reject: &RejectProposal) -> Result<Change, Refusal> {
    let node = open(state, &reject.id)?.said.node.clone();
    Ok(Change::ProposalRejected(ProposalRejected { node, code: None, reason: Some(reject.reason.clone()) }))
}

/// What goes with a node that is retired: the documents that were made of its proposals, because the next machine of that name
/// must not inherit them, and its open proposals.
pub(super) fn retired(state: &Configuration, node: &NodeId) -> Vec<(Entity, Change)> {
    let Some(known) = state.nodes().get(node) else { return Vec::new() };
    // A document that was made of a proposal is for the node that proposed, and for no other.
    let is_made = |id: &&DocumentId| state.documents()[*id].put.proposal.is_some();
    let made = state.proven_documents_of(node, known).into_iter().filter(is_made);
    let removed = made.map(|id| (id.into(), Change::DocumentRemoved));
    let open = state.proposals().open_of(node);
    let rejected = open.map(|(id, _)| rejected_by_rule(id, node.clone(), RejectionCode::NodeRetired));
    removed.chain(rejected).collect()
}

/// The proposal, if it waits for a decision.
fn open<'a>(state: &'a Configuration, id: &ProposalId) -> Result<&'a Proposal, Refusal> {
    match state.proposals().get(id) {
        None => Err(Refusal::Unknown(id.into())),
        Some(proposal) => match proposal.end {
            None => Ok(proposal),
            Some(end) => Err(Refusal::ProposalEnded { id: id.clone(), state: end.state, position: end.position }),
        },
    }
}
