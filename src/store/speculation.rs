//! Speculative execution: the next batch is decided while the one before it is in flight.
//!
//! Storing keeps PostgreSQL busy and deciding keeps this process busy; one after the other, each waits for the other. So requests that
//! arrive meanwhile are decided against the state that the batch in flight leaves behind. A speculative decision is used only if that
//! state is the head of the log; otherwise the requests are decided again.

use std::sync::Arc;

use projections::configuration::Configuration;
use projections::expectation::PlanCondition;
use schema::command::Command;
use schema::id::LogId;
use schema::instant::Instant;

use super::batch::DecidedBatch;
use super::queue::{PendingBatch, PendingRequest};
use super::submission::Submission;

/// Commands times nodes of a request up to which deciding takes some milliseconds.
const QUICK_STEPS: usize = 2_000;
/// How much longer a request with a plan may take.
const PLANNED_TIMES: usize = 10;
/// The same for all requests of a speculative batch, which may have to be decided twice without a pause.
const SPECULATIVE_STEPS: usize = 100_000;

/// A batch that is gathered and decided while another one is in flight.
pub(crate) struct SpeculativeBatch {
    pending: PendingBatch,
    decided: Box<DecidedBatch>,
    steps: usize,
}

impl SpeculativeBatch {
    /// Of no requests but for those that are added to `pending`, to be decided against the state that `in_flight` leaves behind.
    pub(crate) fn after(log_id: LogId, in_flight: &DecidedBatch, pending: PendingBatch) -> Self {
        let base = (in_flight.configuration.clone(), in_flight.growth.frontier().clone());
        Self { pending, decided: Box::new(DecidedBatch::new(log_id, base, Vec::new())), steps: 0 }
    }

    /// Adds and decides a request; gives it back if the batch is full or deciding it would take long.
    pub(crate) fn add(&mut self, next: PendingRequest, clock: Instant) -> Result<(), PendingRequest> {
        let submission = Arc::clone(&next.submission);
        let steps = steps([&*submission], &self.decided.configuration);
        if steps > QUICK_STEPS || self.steps + steps > SPECULATIVE_STEPS {
            return Err(next);
        }
        self.pending.add(next)?;
        self.steps += steps;
        self.decided.decide_next(submission, clock);
        Ok(())
    }

    /// The requests and the decision.
    pub(crate) fn into_parts(self) -> (PendingBatch, Box<DecidedBatch>) {
        (self.pending, self.decided)
    }
}

/// Whether deciding these takes so little time that it may block the thread.
pub(crate) fn is_quick<'a>(submissions: impl IntoIterator<Item = &'a Submission>, state: &Configuration) -> bool {
    steps(submissions, state) <= QUICK_STEPS
}

fn steps<'a>(submissions: impl IntoIterator<Item = &'a Submission>, state: &Configuration) -> usize {
    let steps = |submission: &Submission| {
        let commands = &submission.request.commands;
        let members = |command: &Command| match command {
            Command::AssignBundle(assign) => assign.members.len(),
            _ => 0,
        };
        let members: usize = commands.iter().map(|ask| members(&ask.command)).sum();
        // With a plan each node may have to be looked at once more.
        let times = if matches!(submission.plan, PlanCondition::None) { 1 } else { PLANNED_TIMES };
        commands.len().saturating_mul(state.nodes().len()).saturating_mul(times) + members
    };
    submissions.into_iter().map(steps).sum()
}
