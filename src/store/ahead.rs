//! What the next transaction takes, decided while the one before it is on its way.
//!
//! Storing keeps PostgreSQL busy and deciding keeps this process busy; done in turn, each waits for the other. So requests
//! that come meanwhile are decided against what the transaction under way leaves behind. Nothing rests on it: a batch that was decided
//! against another head than the one behind the lock is decided anew.

use std::sync::Arc;

use projections::configuration::Configuration;
use schema::id::LogId;
use schema::instant::Instant;

use super::batch::{Batch, Submission};
use super::handle::Waiting;
use super::line::Load;

/// Nodes that commands may concern, each counted for each command, for the deciding to be quick: some milliseconds.
const QUICK_STEPS: usize = 2_000;
/// The same, for all that is decided ahead: it may have to be decided twice in one go.
const AHEAD_STEPS: usize = 100_000;

/// A load that is being decided.
pub(crate) struct Ahead {
    pub(crate) load: Load,
    pub(crate) batch: Batch,
    steps: usize,
}

impl Ahead {
    /// Nothing yet, to be decided against what a batch leaves behind.
    pub(crate) fn after(log_id: LogId, batch: &Batch) -> Self {
        let base = (batch.configuration.clone(), batch.growth.edge().clone());
        Self { load: Load::default(), batch: Batch::new(log_id, base, Vec::new()), steps: 0 }
    }

    /// Takes and decides a request, or gives it back if there is no room for it or the deciding would not stay quick.
    pub(crate) fn take(&mut self, next: Waiting, clock: Instant) -> Result<(), Waiting> {
        let submission = Arc::clone(&next.submission);
        let steps = steps([&*submission], &self.batch.configuration);
        if steps > QUICK_STEPS || self.steps + steps > AHEAD_STEPS {
            return Err(next);
        }
        self.load.take(next)?;
        self.steps += steps;
        self.batch.take(submission, clock);
        Ok(())
    }
}

/// Whether deciding holds up nobody who shares the thread.
pub(crate) fn is_quick<'a>(submissions: impl IntoIterator<Item = &'a Submission>, state: &Configuration) -> bool {
    steps(submissions, state) <= QUICK_STEPS
}

fn steps<'a>(submissions: impl IntoIterator<Item = &'a Submission>, state: &Configuration) -> usize {
    let commands: usize = submissions.into_iter().map(|submission| submission.request.commands.len()).sum();
    commands.saturating_mul(state.nodes().len())
}
