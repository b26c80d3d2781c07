//! Deciding a request that is appended only if it comes out as its plan.
//!
//! Rendering a fleet takes long, so the plan is made at some state, and at the head only those nodes are rendered again which something
//! concerned since.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use core::iter::Peekable;

use schema::bundle::{PlanBase, PlanKept};
use schema::desired::Cause;
use schema::digest::Digest;
use schema::event::Event;
use schema::id::NodeId;
use schema::plan::RequestPlan;
use schema::request::Request;

use crate::configuration::{Configuration, Node};
use crate::fold::AffectedNodes;
use crate::outcome::{planned_events, planned_jobs, planned_node};
use crate::refusal::RequestRefusal;
use crate::request::{Decision, RequestContext, decide_in_place, decide_planned};

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
    causes: BTreeMap<NodeId, Option<Cause>>,
}

impl Expectation {
    /// What is expected where a request came out as `plan` at the state `before`.
    #[must_use]
    pub fn new(before: &Configuration, affected: &AffectedNodes, plan: RequestPlan) -> Self {
        let cause = |node: &NodeId| before.nodes().get(node).map(|node| node.cause);
        let causes = affected.iter().map(|node| (node.clone(), cause(node))).collect();
        Self { digest: plan.digest(), plan, base: before.plan_base(), causes }
    }

    /// The data of the event that says that the plan was kept.
    #[must_use]
    pub fn kept(&self) -> PlanKept {
        PlanKept { plan: self.digest, base: self.base }
    }

    /// Whether the request came out as planned at another state.
    ///
    /// A node is rendered only if something concerned it since. Of a node that the request labels everything is rendered: a document that
    /// did not select it may have changed, which left the node's cause as it was.
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
        let labelled: BTreeSet<NodeId> =
            events.iter().filter(|event| labels(event)).map(|event| event.entity.id.clone().into()).collect();
        // All of them are in the order of the nodes, and most often the same ones: they are walked through together, because looking each
        // of ten thousand nodes up takes as long as deciding.
        let (mut planned, mut causes) = (self.plan.nodes.iter().peekable(), self.causes.iter().peekable());
        let mut present = PresentCauses::of(before, affected.len());
        for node in affected {
            // A node that was to change, and that nothing concerns now.
            if planned.peek().is_some_and(|planned| planned.node < *node) {
                return false;
            }
            let expected = planned.next_if(|planned| planned.node == *node);
            while causes.next_if(|(known, _)| *known < node).is_some() {}
            let cause = causes.next_if(|(known, _)| *known == node).map(|(_, cause)| *cause);
            if cause == Some(present.of_node(node)) && !labelled.contains(node) {
                continue;
            }
            let now = planned_node(before, after, node);
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
