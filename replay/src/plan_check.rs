//! Checks that a request came out as the plan that is said to have been kept.
//!
//! The state before the request is needed for that, and remembering it makes folding slower: it is remembered only where a plan may follow.

use alloc::vec::Vec;

use projections::configuration::Configuration;
use projections::fold::AffectedNodes;
use projections::outcome::plan;
use schema::change::Change;
use schema::event::Event;
use schema::plan::RequestPlan;

use crate::finding::Finding;
use crate::log::OpenedEvent;

/// A request that may end with an event about its plan.
#[derive(Debug)]
pub(crate) struct PlannedRequest {
    before: Configuration,
    affected: AffectedNodes,
    events: Vec<Event>,
}

impl PlannedRequest {
    /// The request that the event begins, if it may be planned. `state` is the state before the event.
    pub(crate) fn begun_by(event: &OpenedEvent, state: &Configuration) -> Option<Self> {
        let begin = || Self { before: state.clone(), affected: AffectedNodes::new(), events: Vec::new() };
        event.may_be_planned().then(begin)
    }

    /// Takes the next event of the request, and the nodes that it concerns.
    pub(crate) fn take(&mut self, event: &Event, affected: &AffectedNodes) {
        self.affected.extend(affected.iter().cloned());
        self.events.push(event.clone());
    }

    /// Checks an event about the plan. `after` is the state after the request.
    ///
    /// # Errors
    /// If the request did not come out so.
    pub(crate) fn check(&self, event: &OpenedEvent, after: &Configuration) -> Result<(), Finding> {
        let Change::PlanKept(kept) = event.change() else { return Ok(()) };
        if !event.event().ends_request() {
            let what = "an event about a plan stands within a request";
            return Err(Finding::new(
                event.event().position,
                "plan",
                what,
                "the last event of its request",
                "others after it",
            ));
        }
        let plan = plan(&self.before, after, &self.affected, &self.events);
        let found = plan.digest();
        // Older programs said nothing of the rollouts that a request starts.
        let is_kept = || found == kept.plan || RequestPlan { rollouts: Vec::new(), ..plan }.digest() == kept.plan;
        match is_kept() {
            true => Ok(()),
            false => {
                let what = "the request did not come out as the plan that it is said to have kept";
                Err(Finding::new(event.event().position, "plan", what, kept.plan, found))
            }
        }
    }
}
