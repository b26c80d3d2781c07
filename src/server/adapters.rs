//! Where rooms meet: what each states it needs, given by what another offers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use projections::configuration::Configuration;
use replay::checkpoint::Checkpoint;
use replay::tree::{Proof, Question};
use schema::answer::Answer;
use schema::digest::Digest;
use schema::event::Event;
use schema::id::{CommandId, LogId};
use schema::position::Position;
use schema::seal::PublicKey;
use store::checkpoint::Kept;
use store::database::Error as LogError;
use store::handle::{Log, Moment, SubmitError};
use store::reader::{EventPage, Reader};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::publish::error::Later;
use crate::publish::source;
use crate::source as log_source;

/// The table as the publisher needs it.
pub struct ContentSource(pub Reader);

impl source::PublishSource for ContentSource {
    fn contents(&self, digests: Vec<Digest>) -> Later<'_, BTreeMap<Digest, Vec<u8>>> {
        async move {
            let contents = self.0.contents(&digests).await?;
            match contents.iter().find(|(digest, bytes)| Digest::of(bytes) != **digest) {
                None => Ok(contents),
                Some((digest, _)) => Err(format!("content {digest} is not what its name says").into()),
            }
        }
        .boxed()
    }

    fn events(&self, after: Position, limit: usize) -> Later<'_, Vec<Event>> {
        async move { Ok(self.0.events(EventPage { after, limit, ..EventPage::default() }).await?) }.boxed()
    }
}

/// The log as the door needs it.
pub struct LogBackend {
    log: Log,
    /// The log over a connection of the door's own: what callers read must not hold up the appender.
    reader: Reader,
    heads: watch::Receiver<Position>,
    /// Asks the signer of this process, if it has one, for a checkpoint.
    demand: Arc<Notify>,
}

/// How long a reader waits for a checkpoint of what is published: a little longer than whoever signs lets pass.
const SIGNED_WITHIN: Duration = Duration::from_secs(6);
/// How often it is looked for meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl LogBackend {
    /// The log behind a door. Its heads close when the log ends.
    #[must_use]
    pub fn new(log: Log, demand: Arc<Notify>) -> Self {
        let mut views = log.views();
        let (head, heads) = watch::channel(views.borrow().position());
        tokio::spawn(async move {
            while views.changed().await.is_ok() {
                head.send_replace(views.borrow_and_update().position());
            }
        });
        let reader = log.reader().beside();
        Self { log, reader, heads, demand }
    }

    /// The newest checkpoint once it is one of at least this position, or the time is up.
    async fn newest_checkpoint(&self, position: Position) -> Result<Option<Kept>, LogError> {
        let deadline = Instant::now() + SIGNED_WITHIN;
        loop {
            let newest = self.reader.newest_checkpoint().await?;
            let reached = newest.as_ref().map_or(Position::ZERO, |newest| newest.position);
            if reached >= position || Instant::now() >= deadline {
                return Ok(newest);
            }
            self.demand.notify_one();
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

fn unread(error: &LogError) -> log_source::EventReadError {
    match error.is_about_rows() {
        true => log_source::EventReadError::Damaged(log_source::DamagedError(error.to_string())),
        false => unavailable(error).into(),
    }
}

fn unavailable(error: &LogError) -> log_source::UnavailableError {
    log_source::UnavailableError(error.to_string())
}

impl log_source::LogSource for LogBackend {
    fn log_id(&self) -> LogId {
        self.log.log_id()
    }

    fn public_key(&self) -> PublicKey {
        self.reader.public_key().clone()
    }

    fn view(&self) -> Configuration {
        self.log.view()
    }

    fn reached(&self, position: Position) -> BoxFuture<'_, ()> {
        self.log.reached(position).boxed()
    }

    fn heads(&self) -> watch::Receiver<Position> {
        self.heads.clone()
    }

    fn submit(
        &self,
        submission: log_source::CommandSubmission,
    ) -> BoxFuture<'_, Result<Answer, log_source::SubmissionError>> {
        async move {
            let log_source::CommandSubmission { request, actor, key } = submission;
            self.log.submit(request, actor, key.as_deref()).await.map_err(|error| match error {
                SubmitError::Refused(refused) => log_source::SubmissionError::Refused(refused),
                SubmitError::KeyReused => log_source::SubmissionError::KeyReused,
                SubmitError::Busy => log_source::SubmissionError::Busy,
                SubmitError::ClockAhead(ahead) => log_source::SubmissionError::ClockAhead(ahead.to_string()),
                SubmitError::Unstorable(_) | SubmitError::Unavailable(_) => {
                    log_source::SubmissionError::Unavailable(log_source::UnavailableError(error.to_string()))
                }
            })
        }
        .boxed()
    }

    fn events(&self, page: log_source::EventQuery) -> BoxFuture<'_, Result<Vec<Event>, log_source::EventReadError>> {
        async move {
            let page = EventPage {
                after: page.after,
                up_to: Some(page.up_to),
                limit: page.limit,
                bytes: Some(page.bytes),
                entity: page.entity.map(|entity| entity.to_string()),
                event_type: page.event_type,
            };
            self.log.findings().events(&self.reader, page).await.map_err(|error| unread(&error))
        }
        .boxed()
    }

    fn events_at(&self, positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Event>, log_source::EventReadError>> {
        let (findings, reader) = (self.log.findings(), &self.reader);
        async move { findings.events_at(reader, &positions).await.map_err(|error| unread(&error)) }.boxed()
    }

    fn events_of(&self, command_id: CommandId) -> BoxFuture<'_, Result<Vec<Event>, log_source::EventReadError>> {
        let (findings, reader) = (self.log.findings(), &self.reader);
        async move { findings.events_of(reader, command_id).await.map_err(|error| unread(&error)) }.boxed()
    }

    fn content(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Vec<u8>>, log_source::UnavailableError>> {
        async move {
            let found = self.reader.contents(&[digest]).await.map_err(|error| unavailable(&error))?;
            Ok(found.into_values().next())
        }
        .boxed()
    }

    fn past(&self, at: log_source::At) -> BoxFuture<'_, Result<Configuration, log_source::PastError>> {
        let moment = match at {
            log_source::At::Position(position) => Moment::Position(position),
            log_source::At::Time(time) => Moment::Time(time),
        };
        async move {
            match self.log.past(moment).await {
                Ok(Some(past)) => Ok(past),
                Ok(None) => Err(log_source::PastError::Future { head: self.log.view().position() }),
                Err(error) => Err(unread(&error).into()),
            }
        }
        .boxed()
    }

    fn signed_root(
        &self,
        position: Position,
    ) -> BoxFuture<'_, Result<Option<log_source::SignedRoot>, log_source::UnavailableError>> {
        async move {
            let newest = self.newest_checkpoint(position).await.map_err(|error| unavailable(&error))?;
            let Some(Kept { position, at, note }) = newest else { return Ok(None) };
            let said = Checkpoint::open(note.as_bytes(), self.log_id(), &self.public_key());
            let Checkpoint { root, .. } = said
                .map_err(|bad| log_source::UnavailableError(format!("the checkpoint at position {position}: {bad}")))?;
            Ok(Some(log_source::SignedRoot { position, root, at, note }))
        }
        .boxed()
    }

    fn answer(&self, question: Question) -> BoxFuture<'_, Result<Proof, log_source::UnavailableError>> {
        async move { self.reader.answer(question).await.map_err(|error| unavailable(&error)) }.boxed()
    }
}
