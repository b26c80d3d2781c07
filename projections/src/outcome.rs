//! The outcome of a request: what it changes on every node and in every job.
//!
//! Its plan is the part that people are shown and that a request may insist on: the events, the files of the nodes, the specs of the jobs. Not
//! in it are the position, the time and the sender, nor anything else of a node: a claim, or another path of the same node, would else make
//! every plan for a whole fleet out of date.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use schema::change::Change;
use schema::digest::Digest;
use schema::entity::{Entity, Kind};
use schema::event::Event;
use schema::id::{JobId, NodeId, RolloutId};
use schema::path::DocumentPath;
use schema::plan::{FileState, PlannedEvent, PlannedFile, PlannedJob, PlannedNode, PlannedRollout, RequestPlan};

use crate::configuration::{Configuration, Document, Node};
use crate::fold::AffectedNodes;
use crate::render::render;

/// What a request changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The part that people are shown.
    pub plan: RequestPlan,
    /// The records of all nodes that the events concern, changed or not, in order.
    pub records: Vec<RecordChange>,
}

/// The digest of a node's record before and after a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordChange {
    /// The node.
    pub node: NodeId,
    /// The digest before; none if there was no record.
    pub before: Option<Digest>,
    /// The digest after.
    pub after: Option<Digest>,
}

impl RecordChange {
    /// The change of one node between two states.
    #[must_use]
    pub fn of(before: &Configuration, after: &Configuration, node: &NodeId) -> Self {
        let digest = |state| render(state, node).map(|manifest| manifest.digest);
        Self { node: node.clone(), before: digest(before), after: digest(after) }
    }

    /// Whether the two digests differ.
    #[must_use]
    pub fn is_change(&self) -> bool {
        self.before != self.after
    }
}

/// The outcome of a request's events: `before` and `after` are the states around them, `affected` the nodes that they concern.
#[must_use]
pub fn outcome(before: &Configuration, after: &Configuration, affected: &AffectedNodes, events: &[Event]) -> Outcome {
    let records = affected.iter().map(|node| RecordChange::of(before, after, node)).collect();
    Outcome { plan: plan(before, after, affected, events), records }
}

/// The plan of a request's events alone, which costs less than the whole outcome: no record is rendered.
#[must_use]
pub fn plan(before: &Configuration, after: &Configuration, affected: &AffectedNodes, events: &[Event]) -> RequestPlan {
    let nodes = affected.iter().map(|node| planned_node(before, after, node));
    RequestPlan {
        events: planned_events(events),
        nodes: nodes.filter(PlannedNode::is_change).collect(),
        jobs: planned_jobs(before, after, events),
        rollouts: planned_rollouts(before, after, events),
    }
}

/// The rollouts that a request starts and that are open after it, with what they change on each node once it is released.
fn planned_rollouts(before: &Configuration, after: &Configuration, events: &[Event]) -> Vec<PlannedRollout> {
    let planned = |(rollout, members): (RolloutId, BTreeSet<&NodeId>)| {
        let nodes = members.into_iter().map(|node| planned_release(before, after, &rollout, node));
        PlannedRollout { nodes: nodes.filter(PlannedNode::is_change).collect(), rollout }
    };
    started_rollouts(after, events).into_iter().map(planned).collect()
}

/// The rollouts that a request starts and that are open after it, with their members.
#[must_use]
pub fn started_rollouts<'a>(after: &'a Configuration, events: &[Event]) -> BTreeMap<RolloutId, BTreeSet<&'a NodeId>> {
    let started = events.iter().filter(|event| event.event_type == Change::RolloutStarted.event_type());
    let ids = started.map(|event| RolloutId::from(event.entity.id.clone()));
    let open = ids.filter_map(|id| Some((after.rollouts().open().get(&id)?, id)));
    open.map(|(rollout, id)| (id, after.members(rollout))).collect()
}

/// What a request changes on a node if a rollout that it starts releases the node at once.
#[must_use]
pub fn planned_release(
    before: &Configuration,
    after: &Configuration,
    rollout: &RolloutId,
    node: &NodeId,
) -> PlannedNode {
    planned_node(before, &after.released(rollout, node), node)
}

/// The events of a plan: the event about the plan itself is none of them.
pub(crate) fn planned_events(events: &[Event]) -> Vec<PlannedEvent> {
    let others = events.iter().filter(|event| event.entity.kind != Kind::Plan);
    let planned = |event: &Event| PlannedEvent {
        event_type: event.event_type.clone(),
        entity: event.entity.clone(),
        version: event.version,
        data: Digest::of(event.data.as_bytes()),
    };
    others.map(planned).collect()
}

pub(crate) fn planned_node(before: &Configuration, after: &Configuration, id: &NodeId) -> PlannedNode {
    let (was, is) = (before.nodes().get(id), after.nodes().get(id));
    let is_retired = |node: Option<&Node>| node.is_some_and(|node| node.retired);
    PlannedNode {
        node: id.clone(),
        files: changed_files(before, after, id),
        retired: is_retired(is) && !is_retired(was),
        may_retry: is.is_some_and(|node| node.retry > before.position()),
    }
}

/// The files of a node that differ between two states.
fn changed_files(before: &Configuration, after: &Configuration, id: &NodeId) -> Vec<PlannedFile> {
    let mut was = files(before, id);
    let mut changed = Vec::new();
    for (path, after) in files(after, id) {
        match was.remove(path) {
            Some(before) if before == after => {}
            before => changed.push(PlannedFile { path: path.clone(), before, after: Some(after) }),
        }
    }
    let removed = was.into_iter();
    changed.extend(removed.map(|(path, before)| PlannedFile { path: path.clone(), before: Some(before), after: None }));
    changed.sort_by(|one, other| one.path.cmp(&other.path));
    changed
}

fn files<'a>(state: &'a Configuration, id: &NodeId) -> BTreeMap<&'a DocumentPath, FileState> {
    let of = |document: &Document| FileState { digest: document.put.digest, mode: document.put.mode };
    let layers = state.nodes().get(id).map(|node| state.layers(id, node)).unwrap_or_default();
    layers.into_iter().map(|(path, (_, document))| (path, of(document))).collect()
}

/// The jobs whose specs changed: a spec that is another one than before was rendered, before or after, from something that an event of the
/// request is about.
pub(crate) fn planned_jobs(before: &Configuration, after: &Configuration, events: &[Event]) -> Vec<PlannedJob> {
    let entities: BTreeSet<&Entity> = events.iter().map(|event| &event.entity).collect();
    let with = |entity| {
        let attestations = [before, after].map(|state| state.compliance().attestations_with(entity));
        attestations.into_iter().flatten()
    };
    let jobs: BTreeSet<JobId> =
        entities.into_iter().flat_map(with).map(|attestation| JobId::derived(&attestation)).collect();
    let spec = |state: &Configuration, id: &JobId| state.spec(id).map(|spec| spec.digest);
    let planned = |job: JobId| PlannedJob { before: spec(before, &job), after: spec(after, &job), job };
    jobs.into_iter().map(planned).filter(|job| job.before != job.after).collect()
}
