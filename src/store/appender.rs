//! The only writer of this process: a loop that takes batches from the queue and steps each through its states until every caller is
//! answered (see the table in `append_state`).
//!
//! Group commit: pending requests share one transaction. Callers get their answers after the commit, while the next batch is in flight
//! already.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use replay::log::Follower;
use schema::answer::Answer;
use schema::entity::Actor;
use schema::request::Request;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use program::backoff::Backoff;
use program::clock::Clock;
use program::failpoints;

use super::append_handle::{AppendHandle, LogHealth};
use super::append_session::AppendStore;
use super::append_state::AppendState;
use super::clocks::NatsClock;
use super::database::Error;
use super::log::Log;
use super::queue::{PendingRequest, RequestQueue, bytes_of, split};
use super::reader::Reader;
use super::snapshots::Snapshots;
use super::submission::{SubmissionVerdict, SubmitError};
use super::writer::LogWriter;

/// How often an idle process looks whether another one appended.
const REFRESH_EVERY: Duration = Duration::from_millis(250);
/// The first pause after a failure.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// After so many failures in a row callers are told, if nothing of theirs can have been stored.
const FAILURES_MAX: u32 = 5;
/// How long a step may still take once the process was asked to end: a busy PostgreSQL answers within this time, and one that is gone
/// or frozen is not waited for.
const ENDING_WITHIN: Duration = Duration::from_millis(700);

/// The writer. [`Appender::run`] it in a task of its own.
pub struct Appender(AppendTask<Reader>);

impl Appender {
    /// Folds the log up to its head, and is ready to append to it.
    ///
    /// # Errors
    /// If the log can't be read or is not intact.
    pub async fn start(reader: Reader) -> Result<(Self, Log), Error> {
        Self::start_with(reader, Clock::system()).await
    }

    /// As [`Appender::start`], with a clock to date events by.
    ///
    /// # Errors
    /// As [`Appender::start`].
    pub async fn start_with(reader: Reader, clock: Clock) -> Result<(Self, Log), Error> {
        let (task, handle) = AppendTask::start(reader.clone(), clock).await?;
        Ok((Self(task), Log::new(reader, handle)))
    }

    /// The log as it was folded at the start. Another part of the same process may go on from there, and shares its memory.
    #[must_use]
    pub fn folded(&self) -> Follower {
        self.0.appending.writer.follower.clone()
    }

    /// Appends one request beside the processes that serve the log, and ends.
    ///
    /// # Errors
    /// As [`Log::submit`].
    pub async fn append_once(self, log: &Log, request: Request, actor: Actor) -> Result<Answer, SubmitError> {
        let stop = CancellationToken::new();
        let appending = tokio::spawn(self.run(stop.clone()));
        let answer = log.submit(request, actor, None).await;
        stop.cancel();
        // A panic of the appender was reported where it happened, and the caller got no answer then.
        let _ = appending.await;
        answer
    }

    /// The same appender, which waits only a moment longer for PostgreSQL once `ending` is cancelled. Callers that wait then are told
    /// that there is no answer.
    #[must_use]
    pub fn heeding(self, ending: CancellationToken) -> Self {
        Self(self.0.heeding(ending))
    }

    /// Appends until told to stop, or until the last [`Log`] is dropped; then every caller whose request was appended is answered.
    pub async fn run(self, stop: CancellationToken) {
        self.0.run(stop).await;
    }
}

/// The appender of any store.
pub(crate) struct AppendTask<S: AppendStore> {
    appending: AppendLoop<S>,
    answers: mpsc::UnboundedReceiver<Answers>,
}

/// Requests, and the verdict on each.
type Answers = (Vec<PendingRequest>, Vec<SubmissionVerdict>);

impl<S: AppendStore> AppendTask<S> {
    pub(crate) async fn start(store: S, clock: Clock) -> Result<(Self, AppendHandle), Error> {
        let (snapshots, nats_clock) = (Snapshots::default(), NatsClock::default());
        let (withhold, withheld) = watch::channel(None);
        let writer = LogWriter::start(store, snapshots.clone(), withheld, (clock, nats_clock.clone())).await?;
        let (health, healths) = watch::channel(LogHealth::default());
        let (sender, queue) = RequestQueue::new();
        let (answering, answers) = mpsc::unbounded_channel();
        let (refresh, view) = (Arc::new(Notify::new()), writer.views());
        let handle = AppendHandle {
            queue: sender,
            view,
            health: healths,
            refresh: Arc::clone(&refresh),
            snapshots,
            withheld: withhold,
            nats_clock,
        };
        let ending = CancellationToken::new();
        let appending = AppendLoop { writer, queue, refresh, health, answering, ending, is_given_up: false };
        Ok((Self { appending, answers }, handle))
    }

    pub(crate) fn heeding(mut self, ending: CancellationToken) -> Self {
        self.appending.ending = ending;
        self
    }

    pub(crate) async fn run(self, stop: CancellationToken) {
        let Self { appending, mut answers } = self;
        let answering = async {
            while let Some((requests, verdicts)) = answers.recv().await {
                answer(requests, verdicts);
                failpoints::APPEND_ANSWERED.reached();
            }
        };
        // In this order, the next batch is sent before the callers of this one are answered.
        tokio::join!(biased; appending.run(stop), answering);
    }
}

struct AppendLoop<S: AppendStore> {
    writer: LogWriter<S>,
    queue: RequestQueue,
    refresh: Arc<Notify>,
    health: watch::Sender<LogHealth>,
    answering: mpsc::UnboundedSender<Answers>,
    /// Cancelled when the process is asked to end.
    ending: CancellationToken,
    /// Whether PostgreSQL did not answer in the time that is left after that.
    is_given_up: bool,
}

impl<S: AppendStore> AppendLoop<S> {
    async fn run(mut self, stop: CancellationToken) {
        let mut refresh_due = tokio::time::interval(REFRESH_EVERY);
        refresh_due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let refresh = Arc::clone(&self.refresh);
        while !stop.is_cancelled() && !self.is_given_up {
            if self.queue.is_drained() {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    first = self.queue.receive() => match first {
                        Some(first) => self.queue.put_first(first),
                        None => return,
                    },
                    () = refresh.notified() => {}
                    _ = refresh_due.tick() => {}
                }
            }
            let batch = self.queue.take_batch();
            failpoints::APPEND_TAKEN.reached();
            match batch {
                Some((requests, speculated)) => self.append(requests, AppendState::unsent(speculated), &stop).await,
                None => drop(stop.run_until_cancelled(self.refresh_state()).await),
            }
        }
    }

    /// Appends a batch, or the parts into which it is split, until every caller has an answer or is told why there is none.
    async fn append(
        &mut self,
        requests: Vec<PendingRequest>,
        state: AppendState<S::Session>,
        stop: &CancellationToken,
    ) {
        let mut parts = VecDeque::from([(requests, state)]);
        while let Some((part, state)) = parts.pop_front() {
            if self.is_given_up {
                fail_all(part, &Error::Ending);
                continue;
            }
            let bytes_max = self.queue.size().bytes();
            // Batches may have become smaller since this one was gathered.
            let smaller = match part.len() > 1 && bytes_of(&part) > bytes_max {
                true => split(part, bytes_max),
                false => self.append_whole(part, state, stop).await,
            };
            smaller.into_iter().rev().for_each(|part| parts.push_front((part, AppendState::Queued)));
        }
    }

    /// Steps a batch through its states. Gives the parts in which it is to be appended if it can't be as a whole; nothing of it is stored
    /// then.
    async fn append_whole(
        &mut self,
        mut requests: Vec<PendingRequest>,
        mut state: AppendState<S::Session>,
        stop: &CancellationToken,
    ) -> Vec<Vec<PendingRequest>> {
        let mut backoff = Backoff::between(PAUSE_MIN, PAUSE_MAX);
        let mut out_of_time = pin!(out_of_time(self.ending.clone()));
        loop {
            if state.is_unsent() {
                // Nothing is accepted whose caller would not hear of it.
                requests.retain(|request| !request.is_abandoned());
            }
            if (state.is_unsent() || state.is_unknown()) && requests.iter().all(PendingRequest::is_abandoned) {
                // Nobody waits for the outcome, and nobody was told anything. The next look at the head folds what was stored.
                return Vec::new();
            }
            let step = Box::pin(self.writer.step(state, &requests, &mut self.queue));
            let stepped = tokio::select! {
                biased;
                stepped = step => stepped,
                () = &mut out_of_time => Err(Error::Ending.into()),
            };
            let failure = match stepped {
                Ok(AppendState::Answered(verdicts)) => {
                    self.health.send_replace(LogHealth::fine(self.writer.doubt()));
                    self.answering.send((requests, verdicts)).expect("BUG: answers are given as long as this runs");
                    return Vec::new();
                }
                Ok(AppendState::RuledOut) if requests.len() > 1 => return self.parts_of(requests),
                Ok(AppendState::RuledOut) => {
                    state = AppendState::Queued;
                    continue;
                }
                Ok(next) => {
                    state = next;
                    continue;
                }
                Err(failure) => failure,
            };
            state = failure.state;
            if failure.error.is_about_data() && !state.is_unknown() {
                return refused_data(requests, &failure.error);
            }
            if self.is_final(&failure.error, state.is_unknown(), &backoff, stop, requests.len()) {
                fail_all(requests, &failure.error);
                return Vec::new();
            }
            self.ending.run_until_cancelled(tokio::time::sleep(backoff.failed())).await;
        }
    }

    /// Records a failure. True if the callers are to be told, because nothing of theirs can have been stored and waiting is of no use,
    /// or because the process ends.
    fn is_final(
        &mut self,
        error: &Error,
        is_unknown: bool,
        backoff: &Backoff,
        stop: &CancellationToken,
        requests: usize,
    ) -> bool {
        self.is_given_up = matches!(error, Error::Ending);
        metrics::attempt_failed("append");
        tracing::warn!(%error, failures = backoff.failures(), requests, "appending failed");
        self.health.send_replace(LogHealth::failing(error));
        let is_hopeless = !error.is_transient() || backoff.failures() >= FAILURES_MAX;
        // A process that ends leaves also an unknown outcome to callers that ask again under the same key.
        (!is_unknown && (is_hopeless || stop.is_cancelled())) || self.ending.is_cancelled()
    }

    /// A batch that was sent and is not stored is sent again in parts: over a slow link, all of it might never reach PostgreSQL in the
    /// time for which PostgreSQL lets the lock be held.
    fn parts_of(&self, requests: Vec<PendingRequest>) -> Vec<Vec<PendingRequest>> {
        let half = bytes_of(&requests) / 2;
        split(requests, self.queue.size().bytes().min(half))
    }

    /// Folds what other processes appended, and checks the clocks.
    async fn refresh_state(&mut self) {
        let health = match self.writer.refresh().await {
            Ok(()) => LogHealth::fine(self.writer.doubt()),
            // The fold may have stopped within a request, and no request is shown in part.
            Err(error) => LogHealth::failing(&error),
        };
        self.health.send_if_modified(|current| std::mem::replace(current, health.clone()) != health);
    }
}

async fn out_of_time(ending: CancellationToken) {
    ending.cancelled().await;
    tokio::time::sleep(ENDING_WITHIN).await;
}

/// A batch whose data PostgreSQL refuses is sent again request by request, so that one bad request does not affect the others.
fn refused_data(requests: Vec<PendingRequest>, error: &Error) -> Vec<Vec<PendingRequest>> {
    if requests.len() > 1 {
        return requests.into_iter().map(|request| vec![request]).collect();
    }
    tracing::error!(%error, "PostgreSQL refuses the data of an accepted request");
    requests.into_iter().for_each(|request| request.fail(SubmitError::Unstorable(error.to_string())));
    Vec::new()
}

fn fail_all(requests: Vec<PendingRequest>, error: &Error) {
    let told = match error {
        Error::ClockAhead(ahead) => SubmitError::ClockAhead(ahead.clone()),
        error => SubmitError::Unavailable(error.to_string()),
    };
    requests.into_iter().for_each(|request| request.fail(told.clone()));
}

fn answer(requests: Vec<PendingRequest>, verdicts: Vec<SubmissionVerdict>) {
    assert_eq!(requests.len(), verdicts.len(), "BUG: every submission gets a verdict");
    requests.into_iter().zip(verdicts).for_each(|(request, verdict)| request.answer(verdict));
}

#[cfg(test)]
mod tests;
