//! The log as the rest of the program holds it: submit, look, wait.

use std::sync::Arc;

use program::telemetry;
use projections::configuration::Configuration;
use projections::refusal::Refused;
use replay::log::Follower;
use schema::answer::Answer;
use schema::entity::Actor;
use schema::id::{CommandId, LogId};
use schema::instant::Instant;
use schema::position::Position;
use schema::request::Request;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use uuid::Uuid;

use super::batch::{No, Submission, Verdict};
use super::clocks::{ClockAhead, Doubt, NatsClock};
use super::database::Error;
use super::findings::Findings;
use super::kept::Kept;
use super::reader::Reader;

/// Requests that may wait.
const QUEUE_REQUESTS_MAX: usize = 4_096;
/// KiB of requests that may wait: four full transactions.
const QUEUE_KIB_MAX: usize = 64 * 1024;

/// The log. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    reader: Reader,
    /// The same log over another connection: pages of the past are large, and the appender must not wait for them.
    past: Reader,
    queue: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
    view: watch::Receiver<Configuration>,
    health: watch::Receiver<Health>,
    nudge: Arc<Notify>,
    kept: Kept,
    withheld: watch::Sender<Option<String>>,
    nats_clock: NatsClock,
    findings: Findings,
}

/// Whether the log can be appended to, and why not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    fault: Option<String>,
    doubt: Option<String>,
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The state refuses it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Another request came under the same idempotency key.
    #[error("this idempotency key was used for another request")]
    KeyReused,
    /// Too much is waiting; nothing of this request was accepted.
    #[error("too many requests are waiting")]
    Busy,
    /// PostgreSQL does not take what was let in; nothing of this request was stored.
    #[error("the log can't store this: {0}")]
    Unstorable(String),
    /// This server's clock is ahead; nothing of this request was stored.
    #[error(transparent)]
    ClockAhead(#[from] ClockAhead),
    /// The log can't be reached. Whether the request was stored is not known; it can be sent again under its key.
    #[error("the log is not available: {0}")]
    Unavailable(String),
}

/// A past moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// After this event, and what belongs to its request.
    Position(Position),
    /// After the last event at or before this time, and what belongs to its request.
    Time(Instant),
}

impl Health {
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

impl Log {
    pub(crate) fn new(
        reader: Reader,
        queue: mpsc::Sender<Waiting>,
        view: watch::Receiver<Configuration>,
        health: watch::Receiver<Health>,
        kept: Kept,
        withheld: watch::Sender<Option<String>>,
        nats_clock: NatsClock,
    ) -> Self {
        let past = reader.beside();
        let (room, nudge) = (Arc::new(Semaphore::new(QUEUE_KIB_MAX)), Arc::default());
        let findings = Findings::of(kept.clone());
        Self { reader, past, queue, room, view, health, nudge, kept, withheld, nats_clock, findings }
    }

    /// Notified, the appender looks at the head at once.
    pub(crate) fn nudge(&self) -> Arc<Notify> {
        Arc::clone(&self.nudge)
    }

    /// NATS's clock, which tells whose is wrong where PostgreSQL's is behind the last event. Whoever asks NATS says here what it said.
    #[must_use]
    pub fn nats_clock(&self) -> &NatsClock {
        &self.nats_clock
    }

    /// What is known to be wrong with its rows.
    #[must_use]
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    /// Lets nothing be appended for as long as there is a reason against it. Whoever asks is told the reason.
    pub fn withhold(&self, reason: Option<String>) {
        self.withheld.send_if_modified(|held| std::mem::replace(held, reason.clone()) != reason);
    }

    /// Why nothing may be appended now.
    #[must_use]
    pub fn withheld(&self) -> Option<String> {
        self.withheld.borrow().clone()
    }

    /// Which log.
    #[must_use]
    pub fn log_id(&self) -> LogId {
        self.reader.log_id()
    }

    /// What is in it.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The state as this process knows it; never waits.
    #[must_use]
    pub fn view(&self) -> Configuration {
        self.view.borrow().clone()
    }

    /// Changes whenever the state does.
    #[must_use]
    pub fn views(&self) -> watch::Receiver<Configuration> {
        self.view.clone()
    }

    /// Whether the log can be appended to.
    #[must_use]
    pub fn health(&self) -> Health {
        // The appender hears of it a little later.
        match self.withheld() {
            Some(reason) => Health::failing(&Error::Withheld(reason)),
            None => self.health.borrow().clone(),
        }
    }

    /// Appends a request: all of its events or none. With a key, the same key gives the first accepted answer again.
    ///
    /// # Errors
    /// With the reason why there is no answer.
    pub async fn submit(&self, request: Request, actor: Actor, key: Option<&str>) -> Result<Answer, SubmitError> {
        let command_id = match key {
            Some(key) => CommandId::derived(self.log_id(), &actor.to_string(), key),
            None => CommandId::from(Uuid::now_v7()),
        };
        let mut entropy = [0; 16];
        getrandom::fill(&mut entropy)
            .map_err(|_| SubmitError::Unavailable("the machine gives no random bytes".into()))?;
        let submission = Submission { request, actor, command_id, entropy, keyed: key.is_some() };
        let bytes = submission.bytes();
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).try_acquire_many_owned(kib).map_err(|_| SubmitError::Busy)?;
        let span = telemetry::request(command_id);
        span.in_scope(|| tracing::debug!(actor = %submission.actor, "taken in"));
        let (reply, answer) = oneshot::channel();
        let submission = Arc::new(submission);
        let waiting = Waiting { submission: Arc::clone(&submission), bytes, reply, _room: room };
        self.queue.try_send(waiting).map_err(|_| SubmitError::Busy)?;
        let ended = |_| SubmitError::Unavailable("the server is stopping".into());
        let mut answer = answer.await.map_err(ended)?;
        if matches!(answer, Err(SubmitError::KeyReused)) {
            let before = Box::pin(self.answered_before(Submission::clone(&submission))).await;
            let before = before.map_err(|error| SubmitError::Unavailable(error.to_string()))?;
            answer = before.ok_or(SubmitError::KeyReused);
        }
        span.in_scope(|| match &answer {
            Ok(answer) => tracing::debug!(position = %answer.position, "answered"),
            Err(refusal) => tracing::debug!(%refusal, "refused"),
        });
        answer
    }

    /// Waits until the state has reached `position`, and asks for it to be looked up.
    pub async fn reached(&self, position: Position) {
        let mut views = self.view.clone();
        if views.borrow().position() < position {
            self.nudge.notify_one();
        }
        if views.wait_for(|view| view.position() >= position).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The state as of a past moment; nothing if the log has no such position. Fewer than [`EVERY`](super::kept::EVERY)
    /// events are folded for it. What comes after the last event is as it left things.
    ///
    /// # Errors
    /// If the log can't be read or is not intact.
    pub async fn past(&self, moment: Moment) -> Result<Option<Configuration>, Error> {
        let head = self.past.head().await?.position;
        let position = match moment {
            Moment::Position(position) if position > head => return Ok(None),
            Moment::Position(position) => position,
            Moment::Time(at) => self.past.position_at(at).await?,
        };
        let end = self.past.request_end(position).await?;
        let (view, kept) = (self.view(), self.kept.nearest(end));
        let near = [view, kept].into_iter().filter(|state| state.position() <= end);
        let near = near.max_by_key(Configuration::position).unwrap_or_default();
        if near.position() < end {
            self.findings.clear(near.position().next(), end)?;
        }
        let mut follower = Follower::glance(self.log_id(), near);
        self.past.follow(&mut follower, end).await?;
        self.kept.answered(follower.configuration());
        Ok(Some(follower.into_configuration()))
    }

    /// Where states of the past are kept.
    #[must_use]
    pub fn kept(&self) -> Vec<Position> {
        self.kept.positions()
    }
}

/// A submission in the queue, with its caller.
pub(crate) struct Waiting {
    pub(crate) submission: Arc<Submission>,
    pub(crate) bytes: usize,
    reply: oneshot::Sender<Result<Answer, SubmitError>>,
    _room: OwnedSemaphorePermit,
}

impl Waiting {
    pub(crate) fn is_gone(&self) -> bool {
        self.reply.is_closed()
    }

    pub(crate) fn answer(self, verdict: Verdict) {
        let answer = verdict.map_err(|no| match no {
            No::Refused(refused) => SubmitError::Refused(refused),
            No::KeyReused => SubmitError::KeyReused,
        });
        // A caller that has gone meanwhile asks again under its key.
        let _ = self.reply.send(answer);
    }

    pub(crate) fn fail(self, error: SubmitError) {
        let _ = self.reply.send(Err(error));
    }
}

/// The queue between handles and the appender.
pub(crate) fn queue() -> (mpsc::Sender<Waiting>, mpsc::Receiver<Waiting>) {
    mpsc::channel(QUEUE_REQUESTS_MAX)
}
