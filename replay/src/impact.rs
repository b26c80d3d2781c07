//! Impact: the nodes and job specs that a request changed, and the events that concern a node.
//!
//! Only nodes and jobs that the request's events affect are compared; all others have the digests that they had.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use projections::configuration::Configuration;
use projections::fold::AffectedNodes;
use projections::render::render;
use schema::change::Change;
use schema::digest::Digest;
use schema::entity::{Actor, Kind};
use schema::event::Event;
use schema::id::{JobId, NodeId};

/// What a request changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Impact {
    /// The nodes whose records have another digest than before.
    pub nodes: Vec<DigestChange<NodeId>>,
    /// The nodes that the request concerns and whose records have the same digest as before: their records have another position,
    /// and say whether they are retired or may try again.
    pub unchanged: Vec<NodeId>,
    /// The jobs whose specs have another digest than before, claimed or not.
    pub jobs: Vec<DigestChange<JobId>>,
}

/// The digests of a record or a spec before and after a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestChange<T> {
    /// The id of the node or the job.
    pub id: T,
    /// The digest before the request; none if there was no record or spec.
    pub before: Option<Digest>,
    /// The digest after the request; none if there is no record or spec.
    pub after: Option<Digest>,
}

impl<T> DigestChange<T> {
    fn of(id: T, before: Option<Digest>, after: Option<Digest>) -> Self {
        Self { id, before, after }
    }

    /// Whether the two digests differ.
    #[must_use]
    pub fn is_change(&self) -> bool {
        self.before != self.after
    }
}

/// What a request changed: `before` and `after` are the states around it, `affected` the nodes that its events concern.
#[must_use]
pub fn impact(before: &Configuration, after: &Configuration, affected: &AffectedNodes, events: &[Event]) -> Impact {
    let mut impact = Impact::default();
    for turn in affected.iter().map(|node| node_digest_change(before, after, node)) {
        match turn.is_change() {
            true => impact.nodes.push(turn),
            false => impact.unchanged.push(turn.id),
        }
    }
    let spec = |state: &Configuration, id: &JobId| state.spec(id).map(|spec| spec.digest);
    let jobs = jobs(before, after, events).into_iter().map(|id| {
        let (was, is) = (spec(before, &id), spec(after, &id));
        DigestChange::of(id, was, is)
    });
    impact.jobs = jobs.filter(DigestChange::is_change).collect();
    impact
}

/// A node's digest before and after.
#[must_use]
pub fn node_digest_change(before: &Configuration, after: &Configuration, node: &NodeId) -> DigestChange<NodeId> {
    let digest = |state| render(state, node).map(|manifest| manifest.digest);
    DigestChange::of(node.clone(), digest(before), digest(after))
}

/// The jobs whose specs can have changed: a spec that is another one than before was rendered, before or after, from
/// something that an event of the request is about.
fn jobs(before: &Configuration, after: &Configuration, events: &[Event]) -> BTreeSet<JobId> {
    let entities: BTreeSet<_> = events.iter().map(|event| &event.entity).collect();
    let with = |entity| {
        let attestations = [before, after].map(|state| state.compliance().attestations_with(entity));
        attestations.into_iter().flatten()
    };
    entities.into_iter().flat_map(with).map(|attestation| JobId::derived(&attestation)).collect()
}

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
