//! The wait itself: looks at the nodes or jobs until all are converged, one has failed, or the time is up.
//!
//! Always: the pause after a look is at least ten times as long as the look took, so that a wait takes at most a tenth of one
//! connection's work, however many nodes there are.

use std::time::Duration;

use api::error_code::ErrorCode;
use api::log::LogStatus;
use api::path::LOG;
use program::backoff::Backoff;
use program::status_line::StatusLine;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::awaited_kind::AwaitedKind;
use super::job_selection::JobSelection;
use super::node_selection::NodeSelection;
use super::outcome::WaitOutcome;
use super::tally::{OfflinePolicy, Tally};

use crate::api_client::ApiClient;
use crate::error::Error;

/// The pause after a look that found something else than the one before it.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The pause while nothing changes.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// A pause is so many times as long as the look before it took, or longer.
const PAUSE_PER_LOOK: u32 = 10;
/// How long a request may be unknown: another server, which has it already, may have answered its sender.
const UNKNOWN_REQUEST_WAIT: Duration = Duration::from_secs(5);

/// What is waited for.
#[derive(Clone, Debug)]
pub(super) enum AwaitedSelection {
    Nodes(NodeSelection),
    Jobs(JobSelection),
}

impl AwaitedSelection {
    pub(super) fn kind(&self) -> AwaitedKind {
        match self {
            Self::Nodes(_) => AwaitedKind::Node,
            Self::Jobs(_) => AwaitedKind::Job,
        }
    }

    async fn read(&mut self, client: &ApiClient, offline: OfflinePolicy) -> Result<Tally, Error> {
        let (found, needs_one) = match self {
            Self::Nodes(nodes) => (nodes.read(client).await?, nodes.needs_a_node()),
            Self::Jobs(jobs) => (jobs.read(client).await?, jobs.needs_a_job()),
        };
        Ok(Tally::count(found, offline, needs_one).of(self.kind()))
    }
}

/// What to wait for, and where to look.
pub(super) struct ConvergenceWait {
    pub(super) client: ApiClient,
    pub(super) selection: AwaitedSelection,
    pub(super) offline: OfflinePolicy,
    /// Zero for a single look.
    pub(super) timeout: Duration,
    /// Whether the caller named the position that answers must have reached.
    pub(super) is_position_given: bool,
    /// Whether the server has answered yet.
    pub(super) was_reached: bool,
}

impl ConvergenceWait {
    /// Waits.
    ///
    /// # Errors
    /// If the server refuses. If it can't be reached at first; later that is waited for, too.
    pub(super) async fn run(mut self) -> Result<WaitOutcome, Error> {
        let begun = Instant::now();
        // A time beyond what the clock can say is no limit.
        let deadline = begun.checked_add(self.timeout).filter(|_| !self.timeout.is_zero());
        let (mut backoff, mut status) = (Backoff::between(PAUSE_MIN, PAUSE_MAX), StatusLine::on_stderr());
        let (mut last, mut last_error) = (None::<Tally>, None);
        loop {
            let look_begun = Instant::now();
            match before(deadline, self.look()).await {
                None => break,
                Some(Ok((position, tally))) if !tally.failed.is_empty() => {
                    return Ok(WaitOutcome::Failed { position, tally });
                }
                Some(Ok((position, tally))) if tally.is_done() => {
                    return Ok(WaitOutcome::Converged { position, tally });
                }
                Some(Ok((_, tally))) => {
                    status.show(&progress(&tally));
                    if last.as_ref().is_none_or(|last| tally.differs_from(last)) {
                        backoff.reset();
                    }
                    (last, last_error) = (Some(tally), None);
                }
                Some(Err(error)) if self.may_pass(&error, begun) => last_error = Some(error.to_string()),
                Some(Err(error)) => return Err(error),
            }
            let pause = backoff.failed().max(look_begun.elapsed() * PAUSE_PER_LOOK);
            let next = Instant::now() + pause;
            if self.timeout.is_zero() || deadline.is_some_and(|deadline| deadline <= next) {
                sleep_until(deadline.unwrap_or_else(Instant::now)).await;
                break;
            }
            sleep_until(next).await;
        }
        Ok(WaitOutcome::TimedOut {
            position: self.client.reached(),
            tally: last,
            timeout: self.timeout,
            error: last_error,
        })
    }

    /// The nodes or jobs as they are now, and the position that they are judged by at least.
    async fn look(&mut self) -> Result<(u64, Tally), Error> {
        let log: LogStatus = self.client.get(LOG).await?;
        self.was_reached = true;
        self.client.has_reached(log.position.get());
        let position = self.client.reached();
        Ok((position, self.selection.read(&self.client, self.offline).await?))
    }

    /// Whether an error may be over at the next look.
    fn may_pass(&self, error: &Error, begun: Instant) -> bool {
        match error {
            Error::Refused(problem) if problem.code == ErrorCode::UnknownCommand.as_str() => {
                !self.is_position_given && begun.elapsed() < UNKNOWN_REQUEST_WAIT
            }
            // A server that says that it can't at the moment is there.
            Error::Refused(problem) => problem.status >= 500,
            other => other.is_unreachable() && self.was_reached,
        }
    }
}

fn progress(tally: &Tally) -> String {
    match tally.offline.len() {
        0 => tally.summary(),
        offline => format!("{}, {offline} offline", tally.summary()),
    }
}

/// What comes of `look`, unless the deadline comes first.
async fn before<T>(deadline: Option<Instant>, look: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => timeout_at(deadline, look).await.ok(),
        None => Some(look.await),
    }
}
