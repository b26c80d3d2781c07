//! Checks of the events of proposals, of the documents that are made of them, and of what a node's retirement leaves behind.

use projections::configuration::Configuration;
use projections::proposals::Proposal;
use schema::change::{Change, DocumentPut};
use schema::entity::Entity;
use schema::event::Event;
use schema::id::{DocumentId, NodeId, ProposalId};
use schema::proposal::{
    ProposalAccepted, ProposalRejected, ProposalState, ProposalSuperseded, ProposalWithdrawn, Proposed,
};
use schema::target::Target;

use super::presence::runtime;
use super::rule::holds;
use crate::event_error::EventError;

/// The proposal that the event is about.
fn proposal<'a>(state: &'a Configuration, event: &Event) -> Option<&'a Proposal> {
    state.proposals().get(&event.entity.id.clone().into())
}

/// Checks an event of a proposal.
pub(super) fn check(state: &Configuration, event: &Event, change: &Change) -> Result<(), EventError> {
    match change {
        Change::Proposed(said) => {
            runtime(state, event, &said.node)?;
            proposed(state, event, said)
        }
        Change::ProposalAccepted(ProposalAccepted { node, document }) => {
            ended(state, event, node)?;
            accepted(state, event, document)
        }
        Change::ProposalSuperseded(ProposalSuperseded { node, by }) => {
            ended(state, event, node)?;
            superseded(state, event, by)
        }
        Change::ProposalRejected(ProposalRejected { node, .. })
        | Change::ProposalWithdrawn(ProposalWithdrawn { node }) => ended(state, event, node),
        _ => Ok(()),
    }
}

/// A proposal is made once, under the id that follows from its node and the node's own id of it.
fn proposed(state: &Configuration, event: &Event, said: &Proposed) -> Result<(), EventError> {
    holds(event, Entity::from(&said.id()) == event.entity, "the id that follows from `node` and `uuid`")?;
    holds(event, proposal(state, event).is_none(), "a proposal that was not made before")
}

/// Only an open proposal ends, and it is its node's.
fn ended(state: &Configuration, event: &Event, node: &NodeId) -> Result<(), EventError> {
    let open = proposal(state, event).filter(|proposal| proposal.is_open());
    holds(event, open.is_some_and(|open| open.said.node == *node), "an open proposal of `node`")
}

fn accepted(state: &Configuration, event: &Event, document: &DocumentId) -> Result<(), EventError> {
    let made = proposal(state, event).map(|proposal| proposal.said.document());
    holds(event, made.as_ref() == Some(document), "the document that follows from the proposal's node and path")
}

/// The newer proposal is open, and of the same node for the same path.
fn superseded(state: &Configuration, event: &Event, by: &ProposalId) -> Result<(), EventError> {
    let newer = state.proposals().get(by).filter(|newer| newer.is_open());
    let is_newer = newer.zip(proposal(state, event)).is_some_and(|(newer, older)| {
        newer.position > older.position && (&newer.said.node, &newer.said.path) == (&older.said.node, &older.said.path)
    });
    holds(event, is_newer, "`by` to be a newer open proposal of the node for the path")
}

/// A document that is made of a proposal is put directly behind the event that accepts it, and is what was proposed.
pub(super) fn put(state: &Configuration, event: &Event, put: &DocumentPut) -> Result<(), EventError> {
    let Some(id) = &put.proposal else { return Ok(()) };
    let is_just_accepted = |proposal: &&Proposal| {
        let end = proposal.end.filter(|end| end.state == ProposalState::Accepted);
        end.is_some_and(|end| end.position.next() == event.position) && event.ordinal > 1
    };
    let accepted = state.proposals().get(id).filter(is_just_accepted);
    holds(event, accepted.is_some(), "the acceptance of `proposal` to be the event before")?;
    let is_made = accepted.is_some_and(|Proposal { said, .. }| {
        let file = (&put.path, &put.media_type, put.digest, put.size);
        Entity::from(&said.document()) == event.entity
            && file == (&said.path, &said.media_type, said.digest, said.size)
            && put.target == Target::Nodes([said.node.clone()].into())
    });
    holds(event, is_made, "the file that was proposed, for the node that proposed it")
}

/// A node that is retired leaves no open proposal behind, and no document that was made of one.
pub(super) fn retired(state: &Configuration, event: &Event) -> Result<(), EventError> {
    let node = NodeId::from(event.entity.id.clone());
    let in_use = |by: Entity| EventError::InUse { entity: event.entity.clone(), by };
    if let Some((open, _)) = state.proposals().open_of(&node).next() {
        return Err(in_use(open.into()));
    }
    let Some(known) = state.nodes().get(&node) else { return Ok(()) };
    let documents = state.proven_documents_of(&node, known);
    match documents.into_iter().find(|id| state.documents()[*id].put.proposal.is_some()) {
        Some(document) => Err(in_use(document.into())),
        None => Ok(()),
    }
}
