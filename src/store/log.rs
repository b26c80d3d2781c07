//! The log as the rest of the program uses it: submit requests, read the state of now or of the past, wait for a position.

use std::sync::Arc;

use projections::configuration::Configuration;
use projections::expectation::PlanCondition;
use replay::as_of::AsOf;
use replay::log::Follower;
use schema::answer::Answer;
use schema::entity::Actor;
use schema::id::{CommandId, LogId};
use schema::position::Position;
use schema::request::Request;
use tokio::sync::watch;
use uuid::Uuid;

use program::telemetry;

use super::append_handle::AppendHandle;
use super::clocks::NatsClock;
use super::database::Error;
use super::findings::Findings;
use super::reader::Reader;
use super::submission::{AcceptedSubmission, Submission};
use super::submission_log::log_accepted;

pub use super::append_handle::LogHealth;
pub use super::submission::SubmitError;

/// The log. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    reader: Reader,
    /// The same log over another connection: pages of the past are large, and the appender must not wait for them.
    past: Reader,
    appender: AppendHandle,
    findings: Findings,
}

impl Log {
    pub(crate) fn new(reader: Reader, appender: AppendHandle) -> Self {
        let past = reader.beside();
        let findings = Findings::of(appender.snapshots.clone());
        Self { reader, past, appender, findings }
    }

    /// NATS's clock, which decides whose clock is wrong if PostgreSQL's is behind the last event. Readings of it are recorded here.
    #[must_use]
    pub fn nats_clock(&self) -> &NatsClock {
        &self.appender.nats_clock
    }

    /// Rows that are known to be wrong.
    #[must_use]
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    /// Lets nothing be appended while there is a reason against it. Callers of [`Log::submit`] are told the reason.
    pub fn withhold(&self, reason: Option<String>) {
        self.appender.withhold(reason);
    }

    /// Why nothing may be appended now.
    #[must_use]
    pub fn withheld(&self) -> Option<String> {
        self.appender.withheld()
    }

    /// Which log.
    #[must_use]
    pub fn log_id(&self) -> LogId {
        self.reader.log_id()
    }

    /// The reader of the log.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The state as this process knows it; never waits.
    #[must_use]
    pub fn view(&self) -> Configuration {
        self.appender.view.borrow().clone()
    }

    /// A receiver that is notified whenever the state changes.
    #[must_use]
    pub fn views(&self) -> watch::Receiver<Configuration> {
        self.appender.view.clone()
    }

    /// Whether the log can be appended to.
    #[must_use]
    pub fn health(&self) -> LogHealth {
        self.appender.health()
    }

    /// Appends a request: all of its events or none. With a key, the same key gives the first accepted answer again.
    ///
    /// # Errors
    /// With the reason why there is no answer.
    pub async fn submit(&self, request: Request, actor: Actor, key: Option<&str>) -> Result<Answer, SubmitError> {
        self.submit_planned(request, actor, key, PlanCondition::None).await
    }

    /// Appends a request if it comes out as its plan: see [`Log::submit`].
    ///
    /// # Errors
    /// With the reason why there is no answer.
    pub async fn submit_planned(
        &self,
        request: Request,
        actor: Actor,
        key: Option<&str>,
        plan: PlanCondition,
    ) -> Result<Answer, SubmitError> {
        let command_id = match key {
            Some(key) => CommandId::derived(self.log_id(), &actor.to_string(), key),
            None => CommandId::from(Uuid::now_v7()),
        };
        // A cryptographic generator of this thread, which the machine has seeded: asking the machine itself takes a system call each time.
        let entropy = rand::random();
        let submission = Submission { request, actor, command_id, entropy, keyed: key.is_some(), plan };
        let submission = Arc::new(submission);
        let answer = self.appender.submit(Arc::clone(&submission))?;
        let span = telemetry::request(command_id);
        span.in_scope(|| tracing::debug!(actor = %submission.actor, "taken in"));
        let ended = |_| SubmitError::Unavailable("the server is stopping".into());
        let mut accepted = answer.await.map_err(ended)?;
        if matches!(accepted, Err(SubmitError::KeyReused)) {
            let before = Box::pin(self.answered_before(Submission::clone(&submission))).await;
            let before = before.map_err(|error| SubmitError::Unavailable(error.to_string()))?;
            let repeated = before.map(|answer| AcceptedSubmission { answer, is_repeated: true });
            accepted = repeated.ok_or(SubmitError::KeyReused);
        }
        span.in_scope(|| match &accepted {
            Ok(accepted) => tracing::debug!(position = %accepted.answer.position, "answered"),
            Err(refusal) => tracing::debug!(%refusal, "refused"),
        });
        let accepted = accepted.inspect(|accepted| log_accepted(&submission, accepted))?;
        Ok(accepted.answer)
    }

    /// Waits until the state has reached `position`, and lets the appender read the head at once.
    pub async fn reached(&self, position: Position) {
        let mut views = self.appender.view.clone();
        if views.borrow().position() < position {
            self.appender.refresh.notify_one();
        }
        if views.wait_for(|view| view.position() >= position).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The state at a past moment; `None` if the log has no such position. Fewer than [`EVERY`](super::snapshots::EVERY) events are folded
    /// for it. A time after the last event means the present state.
    ///
    /// # Errors
    /// If the log can't be read or is not intact.
    pub async fn past(&self, moment: AsOf) -> Result<Option<Configuration>, Error> {
        let head = self.past.head().await?.position;
        let position = match moment {
            AsOf::Position(position) if position > head => return Ok(None),
            AsOf::Position(position) => position,
            AsOf::Time(at) => self.past.position_at(at).await?,
        };
        let end = self.past.request_end(position).await?;
        let (view, kept) = (self.view(), self.appender.snapshots.nearest(end));
        let near = [view, kept].into_iter().filter(|state| state.position() <= end);
        let near = near.max_by_key(Configuration::position).unwrap_or_default();
        if near.position() < end {
            self.findings.clear(near.position().next(), end)?;
        }
        let mut follower = Follower::without_tree(self.log_id(), near);
        self.past.follow(&mut follower, end).await?;
        self.appender.snapshots.keep_answer(follower.configuration());
        Ok(Some(follower.into_configuration()))
    }

    /// The positions of the snapshots.
    #[must_use]
    pub fn snapshots(&self) -> Vec<Position> {
        self.appender.snapshots.positions()
    }
}
