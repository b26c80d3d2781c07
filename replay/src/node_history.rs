//! The events that concern a node: its history.

use projections::fold::AffectedNodes;
use schema::change::Change;
use schema::entity::{Actor, Kind};
use schema::event::Event;
use schema::id::NodeId;

/// Whether an event belongs to the history of a node: it names the node, comes from it, or changed its record.
#[must_use]
pub fn concerns(event: &Event, change: &Change, affected: &AffectedNodes, node: &NodeId) -> bool {
    let is_about =
        matches!(event.entity.kind, Kind::Node | Kind::Report | Kind::Runtime) && event.entity.id == *node.id();
    let names = match change {
        Change::JobClaimed(claimed) => claimed.runtime == *node,
        Change::JobReleased(released) => released.runtime == *node,
        Change::JobCompleted(completed) => completed.runtime == *node,
        Change::ClaimExpired(expired) => expired.runtime == *node,
        Change::Proposed(said) => said.node == *node,
        Change::ProposalAccepted(accepted) => accepted.node == *node,
        Change::ProposalRejected(rejected) => rejected.node == *node,
        Change::ProposalSuperseded(superseded) => superseded.node == *node,
        Change::ProposalWithdrawn(withdrawn) => withdrawn.node == *node,
        _ => false,
    };
    is_about || names || event.actor == Actor::Node(node.clone()) || affected.contains(node)
}
