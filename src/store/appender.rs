//! The one writer of this process: what waits goes into one transaction, and who waits is answered.
//!
//! While a transaction is on its way, further requests are decided ahead; the next transaction takes all of them, so one
//! fsync serves many, and is on its way before the callers of the one before are answered. If a connection breaks while committing,
//! the outcome is looked up behind the head row's lock: until that lock is ours, the transaction may still commit. What is not there
//! then is barred before it is called not stored, so that it can't arrive later either.

use std::sync::Arc;
use std::time::Duration;

use program::backoff::Backoff;
use program::clock::Clock;
use program::failpoints;
use schema::answer::Answer;
use schema::entity::Actor;
use schema::request::Request;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::batch::{Batch, Verdict};
use super::clocks::NatsClock;
use super::database::Error;
use super::handle::{Health, Log, SubmitError, Waiting, queue};
use super::kept::Kept;
use super::line::Line;
use super::reader::Reader;
use super::writer::Writer;

/// How often an idle process looks whether another one appended.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The first pause after a failure.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// After so many failures in a row callers are told, where nothing of theirs can have been stored.
const FAILURES_MAX: u32 = 5;
/// How long a transaction that is under way may still take once the process was asked to end: a busy PostgreSQL answers within
/// it, and one that is gone or frozen is not waited for.
const ENDING_WITHIN: Duration = Duration::from_millis(700);

/// The writer. [`Appender::run`] it in a task of its own.
pub struct Appender {
    appending: Appending,
    decided: mpsc::UnboundedReceiver<Decided>,
}

/// Requests, and what is answered to each.
type Decided = (Vec<Waiting>, Vec<Verdict>);

struct Appending {
    writer: Writer,
    line: Line,
    nudge: Arc<Notify>,
    health: watch::Sender<Health>,
    answers: mpsc::UnboundedSender<Decided>,
    /// The process was asked to end.
    ending: CancellationToken,
    /// Whether it was, and PostgreSQL did not answer in the time that is left then.
    is_given_up: bool,
}

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
        let (kept, nats_clock) = (Kept::default(), NatsClock::default());
        let (withhold, withheld) = watch::channel(None);
        let writer = Writer::start(reader.clone(), kept.clone(), withheld, (clock, nats_clock.clone())).await?;
        let (health, healths) = watch::channel(Health::default());
        let (sender, queue) = queue();
        let (answers, decided) = mpsc::unbounded_channel();
        let log = Log::new(reader, sender, writer.views(), healths, kept, withhold, nats_clock);
        let (line, nudge, ending) = (Line::new(queue), log.nudge(), CancellationToken::new());
        let appending = Appending { writer, line, nudge, health, answers, ending, is_given_up: false };
        Ok((Self { appending, decided }, log))
    }

    /// Appends one request, beside whoever serves the log, and ends.
    ///
    /// # Errors
    /// As [`Log::submit`].
    pub async fn append_once(self, log: &Log, request: Request, actor: Actor) -> Result<Answer, SubmitError> {
        let stop = CancellationToken::new();
        let appending = tokio::spawn(self.run(stop.clone()));
        let answer = log.submit(request, actor, None).await;
        stop.cancel();
        // A panic of the appender was reported where it happened, and nobody was answered then.
        let _ = appending.await;
        answer
    }

    /// The same appender, which waits for PostgreSQL no longer than a moment once `ending` is cancelled. Whoever waits for
    /// an answer is then told that there is none.
    #[must_use]
    pub fn heeding(mut self, ending: CancellationToken) -> Self {
        self.appending.ending = ending;
        self
    }

    /// Appends until told to stop, or until nobody holds the log any more; then everybody who was appended is answered.
    pub async fn run(self, stop: CancellationToken) {
        let Self { appending, mut decided } = self;
        let answering = async {
            while let Some((waiting, verdicts)) = decided.recv().await {
                answer(waiting, verdicts);
                failpoints::APPEND_ANSWERED.reached();
            }
        };
        // In this order, the next batch is sent before the callers of this one are answered.
        tokio::join!(biased; appending.run(stop), answering);
    }
}

impl Appending {
    async fn run(mut self, stop: CancellationToken) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let nudge = Arc::clone(&self.nudge);
        while !stop.is_cancelled() && !self.is_given_up {
            if self.line.is_empty() {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    first = self.line.next() => match first {
                        Some(first) => self.line.leave(Some(first)),
                        None => return,
                    },
                    () = nudge.notified() => {}
                    _ = look.tick() => {}
                }
            }
            let load = self.line.take();
            failpoints::APPEND_TAKEN.reached();
            match load {
                Some((waiting, decided)) => self.append(waiting, decided, &stop).await,
                None => drop(stop.run_until_cancelled(self.look()).await),
            }
        }
    }

    /// Appends what waits, however often it takes, and lets every caller be answered. `decided` is what it comes to, if that is known.
    async fn append(&mut self, mut waiting: Vec<Waiting>, mut decided: Option<Batch>, stop: &CancellationToken) {
        let mut unknown = None;
        let mut backoff = Backoff::between(PAUSE_MIN, PAUSE_MAX);
        loop {
            if unknown.is_none() {
                // Whoever has gone is not served: nothing is accepted that nobody hears of.
                waiting.retain(|waiting| !waiting.is_gone());
            }
            if waiting.iter().all(Waiting::is_gone) {
                // What became of it need not be known: the next look at the head finds it, and nobody was told anything.
                return;
            }
            let ending = self.ending.clone();
            let attempt = Box::pin(self.writer.attempt(&waiting, decided.take(), &mut unknown, &mut self.line));
            let attempted = tokio::select! {
                biased;
                attempted = attempt => attempted,
                () = out_of_time(ending) => Err(Error::Ending),
            };
            let error = match attempted {
                Ok(verdicts) => {
                    self.health.send_replace(Health::fine(self.writer.doubt()));
                    return self
                        .answers
                        .send((waiting, verdicts))
                        .expect("BUG: answers are given as long as this runs");
                }
                Err(Error::Uncommitted) if waiting.len() > 1 => {
                    return self.append_in_halves(waiting, stop).await;
                }
                Err(Error::Uncommitted | Error::Moved) => continue,
                Err(error) => error,
            };
            if error.is_about_data() && unknown.is_none() {
                return self.append_one_by_one(waiting, &error, stop).await;
            }
            self.is_given_up = matches!(error, Error::Ending);
            metrics::failed("append");
            tracing::warn!(%error, failures = backoff.failures(), requests = waiting.len(), "appending failed");
            self.health.send_replace(Health::failing(&error));
            let hopeless = !error.is_transient() || backoff.failures() >= FAILURES_MAX;
            // Who was asked to end leaves also an unknown outcome to whoever asks again under the same key.
            if (unknown.is_none() && (hopeless || stop.is_cancelled())) || self.ending.is_cancelled() {
                let failed = match &error {
                    Error::ClockAhead(ahead) => SubmitError::ClockAhead(ahead.clone()),
                    error => SubmitError::Unavailable(error.to_string()),
                };
                return waiting.into_iter().for_each(|waiting| waiting.fail(failed.clone()));
            }
            self.ending.run_until_cancelled(tokio::time::sleep(backoff.failed())).await;
        }
    }

    /// A batch that fails on its data is tried request by request, so that one costs the others nothing.
    async fn append_one_by_one(&mut self, waiting: Vec<Waiting>, error: &Error, stop: &CancellationToken) {
        if waiting.len() == 1 {
            tracing::error!(%error, "PostgreSQL refuses data that was let in");
            let refused = |waiting: Waiting| waiting.fail(SubmitError::Unstorable(error.to_string()));
            return waiting.into_iter().for_each(refused);
        }
        for alone in waiting {
            Box::pin(self.append(vec![alone], None, stop)).await;
        }
    }

    /// A batch that was sent and is not there is sent in smaller ones: over a slow link it would never get to PostgreSQL in
    /// the time for which that lets the lock be held.
    async fn append_in_halves(&mut self, mut waiting: Vec<Waiting>, stop: &CancellationToken) {
        let later = waiting.split_off(waiting.len() / 2);
        for half in [waiting, later] {
            Box::pin(self.append(half, None, stop)).await;
        }
    }

    /// Looks whether another process appended, and what the clocks say.
    async fn look(&mut self) {
        let health = match self.writer.look().await {
            Ok(()) => Health::fine(self.writer.doubt()),
            // It may have come to the middle of a request, and no request is shown in part.
            Err(error) => Health::failing(&error),
        };
        self.health.send_if_modified(|current| std::mem::replace(current, health.clone()) != health);
    }
}

async fn out_of_time(ending: CancellationToken) {
    ending.cancelled().await;
    tokio::time::sleep(ENDING_WITHIN).await;
}

fn answer(waiting: Vec<Waiting>, verdicts: Vec<Verdict>) {
    assert_eq!(waiting.len(), verdicts.len(), "BUG: every submission gets a verdict");
    waiting.into_iter().zip(verdicts).for_each(|(waiting, verdict)| waiting.answer(verdict));
}
