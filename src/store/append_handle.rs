//! The appender as the rest of this process reaches it: submit, see the folded state, close the log for appends.

use std::sync::Arc;

use projections::configuration::Configuration;
use tokio::sync::{Notify, oneshot, watch};

use super::clocks::{Doubt, NatsClock};
use super::database::Error;
use super::queue::{QueueSender, SubmitResult};
use super::snapshots::Snapshots;
use super::submission::{Submission, SubmitError};

/// Whether the log can be appended to, and why not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogHealth {
    fault: Option<String>,
    doubt: Option<String>,
}

impl LogHealth {
    pub(crate) fn failing(error: &Error) -> Self {
        Self { fault: Some(error.to_string()), doubt: None }
    }

    pub(crate) fn fine(doubt: Option<&Doubt>) -> Self {
        Self { fault: None, doubt: doubt.map(ToString::to_string) }
    }

    /// Why the log can't be appended to.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// What is wrong with a clock or the log's time, while it is appended to all the same.
    #[must_use]
    pub fn doubt(&self) -> Option<&str> {
        self.doubt.as_deref()
    }
}

/// Cheap to clone. The appender ends when all clones are dropped.
#[derive(Clone)]
pub(crate) struct AppendHandle {
    pub(super) queue: QueueSender,
    pub(super) view: watch::Receiver<Configuration>,
    pub(super) health: watch::Receiver<LogHealth>,
    pub(super) refresh: Arc<Notify>,
    pub(super) snapshots: Snapshots,
    pub(super) withheld: watch::Sender<Option<String>>,
    pub(super) nats_clock: NatsClock,
}

impl AppendHandle {
    /// Puts a submission into the appender's queue.
    pub(crate) fn submit(&self, submission: Arc<Submission>) -> Result<oneshot::Receiver<SubmitResult>, SubmitError> {
        self.queue.submit(submission)
    }

    /// Lets nothing be appended while there is a reason against it. The appender notices a little later.
    pub(crate) fn withhold(&self, reason: Option<String>) {
        self.withheld.send_if_modified(|current| std::mem::replace(current, reason.clone()) != reason);
    }

    pub(crate) fn withheld(&self) -> Option<String> {
        self.withheld.borrow().clone()
    }

    pub(crate) fn health(&self) -> LogHealth {
        match self.withheld() {
            Some(reason) => LogHealth::failing(&Error::Withheld(reason)),
            None => self.health.borrow().clone(),
        }
    }
}
