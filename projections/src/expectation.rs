//! Deciding a request that is appended only if it comes out as its plan.
//!
//! Rendering a fleet takes long, so the plan is made at some state, and at the head only those nodes are rendered again which something
//! concerned since.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::iter::Peekable;

use schema::bundle::{PlanBase, PlanKept};
use schema::change::DocumentPut;
use schema::desired::Cause;
use schema::digest::Digest;
use schema::event::Event;
use schema::id::{DocumentId, NodeId, RolloutId};
use schema::plan::{PlannedNode, RequestPlan};
use schema::request::Request;

use crate::configuration::{Configuration, Node};
use crate::fold::AffectedNodes;
use crate::outcome::{plan, planned_events, planned_jobs, planned_node, planned_release, started_rollouts};
use crate::refusal::RequestRefusal;
use crate::request::{Decision, DecisionWithState, RequestContext, decide_in_place, decide_planned};

/// Whether a request is appended only if it comes out as a plan.
#[derive(Clone, Debug, Default)]
pub enum PlanCondition {
    /// It came without a plan.
    #[default]
    None,
    /// It came with a plan, as which it came out at a state of before.
    Expected(Arc<Expectation>),
    /// It came with a plan, and came out otherwise already. Only an answer that was given before answers it.
    Changed,
}

/// Why a request is not appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConditionalRefusal {
    /// The state refuses it.
    Refused(RequestRefusal),
    /// It would not come out as its plan.
    PlanChanged,
}

/// Decides a request against the state at the head of the log, which becomes the state after it.
///
/// # Errors
/// If the request is refused, or would not come out as its plan. Then `state` may have seen a part of the request and is spoiled.
pub fn decide_on_condition(
    state: &mut Configuration,
    envelope: &RequestContext,
    request: &Request,
    condition: &PlanCondition,
) -> Result<Decision, ConditionalRefusal> {
    let refused = ConditionalRefusal::Refused;
    match condition {
        PlanCondition::None => decide_in_place(state, envelope, request).map_err(refused),
        PlanCondition::Expected(expected) => {
            let before = state.clone();
            let decided = decide_planned(state, envelope, request, expected.kept()).map_err(refused)?;
            match expected.holds(&before, state, &decided.affected, &decided.events) {
                true => Ok(decided),
                false => Err(ConditionalRefusal::PlanChanged),
            }
        }
        PlanCondition::Changed => {
            // What the state refuses is said first. That it had a plan at all lets it remove what leaves a bundle.
            let plan = PlanKept { plan: Digest::OF_NOTHING, base: state.plan_base() };
            decide_planned(state, envelope, request, plan).map_err(refused).and(Err(ConditionalRefusal::PlanChanged))
        }
    }
}

/// The plan of a request at one state, with what tells at a later state whether it still comes out so.
#[derive(Clone, Debug)]
pub struct Expectation {
    plan: RequestPlan,
    digest: Digest,
    base: PlanBase,
    /// The cause of each record at that state, of the nodes that the events concern.
    causes: Causes,
    /// The same of the nodes of each rollout that is started, and what that has staged.
    starts: BTreeMap<RolloutId, ExpectedStart>,
}

/// The causes of the records of nodes; none where there was no record.
type Causes = BTreeMap<NodeId, Option<Cause>>;

/// A rollout that a request starts.
#[derive(Clone, Debug)]
struct ExpectedStart {
    staged: Vec<(DocumentId, Option<Arc<DocumentPut>>)>,
    causes: Causes,
}

impl Expectation {
    /// What is expected of a request that was decided so at the state `before`.
    #[must_use]
    pub fn of(before: &Configuration, decided: &DecisionWithState) -> Self {
        let DecisionWithState { configuration: after, events, affected, .. } = decided;
        let plan = plan(before, after, affected, events);
        let cause = |node: &NodeId| (node.clone(), before.nodes().get(node).map(|node| node.cause));
        let start = |(id, members): (RolloutId, BTreeSet<&NodeId>)| {
            let staged = staged(after, &id);
            (id, ExpectedStart { staged, causes: members.into_iter().map(cause).collect() })
        };
        let starts = started_rollouts(after, events).into_iter().map(start).collect();
        let causes = affected.iter().map(cause).collect();
        Self { digest: plan.digest(), plan, base: before.plan_base(), causes, starts }
    }

    /// The data of the event that says that the plan was kept.
    #[must_use]
    pub fn kept(&self) -> PlanKept {
        PlanKept { plan: self.digest, base: self.base }
    }

    /// Whether the request came out as planned at another state.
    #[must_use]
    pub fn holds(
        &self,
        before: &Configuration,
        after: &Configuration,
        affected: &AffectedNodes,
        events: &[Event],
    ) -> bool {
        if planned_events(events) != self.plan.events || planned_jobs(before, after, events) != self.plan.jobs {
            return false;
        }
        let labels = |event: &Event| matches!(event.event_type.as_str(), "NodeEnrolled" | "NodeLabelled");
        let labelled =
            events.iter().filter(|event| labels(event)).map(|event| event.entity.id.clone().into()).collect();
        let present = PresentNodes { before, labelled: &labelled };
        present.hold(&self.plan.nodes, &self.causes, affected.iter(), |node| planned_node(before, after, node))
            && self.starts_hold(&present, after, events)
    }

    /// Whether each rollout that is started would change on its nodes what was planned.
    fn starts_hold(&self, present: &PresentNodes<'_>, after: &Configuration, events: &[Event]) -> bool {
        let started = started_rollouts(after, events);
        let planned: BTreeMap<&RolloutId, &[PlannedNode]> =
            self.plan.rollouts.iter().map(|planned| (&planned.rollout, planned.nodes.as_slice())).collect();
        started.keys().eq(self.starts.keys())
            && started.into_iter().all(|(id, members)| {
                let ExpectedStart { staged: expected, causes } = &self.starts[&id];
                let planned = planned.get(&id).copied().unwrap_or_default();
                let release = |node: &NodeId| planned_release(present.before, after, &id, node);
                *expected == staged(after, &id) && present.hold(planned, causes, members.into_iter(), release)
            })
    }
}

/// What a rollout makes of its documents.
fn staged(state: &Configuration, rollout: &RolloutId) -> Vec<(DocumentId, Option<Arc<DocumentPut>>)> {
    let changes = state.rollouts().open().get(rollout).into_iter().flat_map(|rollout| rollout.changes.iter());
    let put = |id: &DocumentId| state.rollouts().staged().get(id)?.put.as_ref().map(|document| document.put.clone());
    changes.map(|id| (id.clone(), put(id))).collect()
}

/// The nodes at the head of the log, before the request.
struct PresentNodes<'a> {
    before: &'a Configuration,
    /// Those that the request labels. Of such a node everything is rendered: a document that did not select it may have changed, which left
    /// the node's cause as it was.
    labelled: &'a BTreeSet<NodeId>,
}

impl PresentNodes<'_> {
    /// Whether of these nodes exactly those change that are planned, and so as it is planned. A node is rendered, by `now`, only if something
    /// concerned it since its cause was taken.
    ///
    /// All of them are in the order of the nodes, and most often the same ones: they are walked through together, because looking each of ten
    /// thousand nodes up takes as long as deciding.
    fn hold<'a>(
        &self,
        planned: &[PlannedNode],
        causes: &Causes,
        nodes: impl ExactSizeIterator<Item = &'a NodeId>,
        now: impl Fn(&NodeId) -> PlannedNode,
    ) -> bool {
        let (mut planned, mut causes) = (planned.iter().peekable(), causes.iter().peekable());
        let mut present = PresentCauses::of(self.before, nodes.len());
        for node in nodes {
            // A node that was to change, and that nothing concerns now.
            if planned.peek().is_some_and(|planned| planned.node < *node) {
                return false;
            }
            let expected = planned.next_if(|planned| planned.node == *node);
            while causes.next_if(|(known, _)| *known < node).is_some() {}
            let cause = causes.next_if(|(known, _)| *known == node).map(|(_, cause)| *cause);
            if cause == Some(present.of_node(node)) && !self.labelled.contains(node) {
                continue;
            }
            let now = now(node);
            let is_expected = match expected {
                Some(expected) => now == *expected,
                None => !now.is_change(),
            };
            if !is_expected {
                return false;
            }
        }
        // What is left was to change, and the events do not even concern it.
        planned.next().is_none()
    }
}

/// The causes of the records of nodes, which are asked for in order.
enum PresentCauses<'a> {
    /// Few are asked for: each is looked up.
    Looked(&'a Configuration),
    /// Many are asked for: the nodes are walked through.
    Walked(Peekable<Box<dyn Iterator<Item = (&'a NodeId, &'a Node)> + 'a>>),
}

impl<'a> PresentCauses<'a> {
    fn of(state: &'a Configuration, count: usize) -> Self {
        /// As many steps of a walk take about as long as one look.
        const STEPS_OF_A_LOOK: usize = 8;
        match count.saturating_mul(STEPS_OF_A_LOOK) < state.nodes().len() {
            true => Self::Looked(state),
            false => Self::Walked((Box::new(state.nodes().iter()) as Box<dyn Iterator<Item = _>>).peekable()),
        }
    }

    fn of_node(&mut self, node: &NodeId) -> Option<Cause> {
        match self {
            Self::Looked(state) => state.nodes().get(node).map(|known| known.cause),
            Self::Walked(nodes) => {
                while nodes.next_if(|(known, _)| *known < node).is_some() {}
                nodes.next_if(|(known, _)| *known == node).map(|(_, known)| known.cause)
            }
        }
    }
}
