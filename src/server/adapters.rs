//! Implements what publishing and the HTTP API need of the log, by what the store offers.

use api::proof::SignedCheckpoint;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use projections::configuration::Configuration;
use projections::expectation::PlanCondition;
use replay::checkpoint::Checkpoint;
use replay::tree::{ProofHashes, TreeQuery};
use schema::answer::Answer;
use schema::command::KnownContent;
use schema::digest::Digest;
use schema::entity::Actor;
use schema::event::Event;
use schema::id::{CommandId, LogId};
use schema::position::Position;
use schema::request::Request;
use schema::seal::PublicKey;
use store::checkpoint::StoredCheckpoint;
use store::database::Error as LogError;
use store::log::{Log, SubmitError};
use store::reader::{EventPage, Reader};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::event_log::{AsOf, DamagedError, EventLog, LogReadError, PastStateError, UnavailableError};
use crate::publish::error::SourceFuture;
use crate::publish::source;

/// Contents and events for the publisher.
pub struct ContentSource(pub Reader);

impl source::PublishSource for ContentSource {
    fn contents(&self, digests: Vec<Digest>) -> SourceFuture<'_, BTreeMap<Digest, Vec<u8>>> {
        async move {
            let contents = self.0.contents(&digests).await?;
            match contents.iter().find(|(digest, bytes)| Digest::of(bytes) != **digest) {
                None => Ok(contents),
                Some((digest, _)) => Err(format!("content {digest} is not what its name says").into()),
            }
        }
        .boxed()
    }

    fn events(&self, after: Position, limit: usize) -> SourceFuture<'_, Vec<Event>> {
        async move { Ok(self.0.events(EventPage { after, limit, ..EventPage::default() }).await?) }.boxed()
    }
}

/// The log for the HTTP API and the requests of nodes.
pub struct LogBackend {
    log: Log,
    /// Over a connection of its own: what callers read must not hold up the appender.
    reader: Reader,
    heads: watch::Receiver<Position>,
    /// Notifies the checkpoint signer of this process, if it has one.
    signature_wanted: Arc<Notify>,
}

/// How long a caller waits for a checkpoint of what is published: a little longer than the relay of another server lets pass.
const SIGNED_WITHIN: Duration = Duration::from_secs(6);
/// How long a caller waits for this server to read up to the head.
const REACHED_WITHIN: Duration = Duration::from_secs(5);
const SIGNED_POLL: Duration = Duration::from_millis(50);

impl LogBackend {
    /// The heads of this log close when its appender ends.
    #[must_use]
    pub fn new(log: Log, signature_wanted: Arc<Notify>) -> Self {
        let mut views = log.views();
        let (head, heads) = watch::channel(views.borrow().position());
        tokio::spawn(async move {
            while views.changed().await.is_ok() {
                head.send_replace(views.borrow_and_update().position());
            }
        });
        let reader = log.reader().beside();
        Self { log, reader, heads, signature_wanted }
    }

    /// The newest checkpoint, once it covers this position or the time is up.
    async fn wait_for_checkpoint(&self, position: Position) -> Result<Option<StoredCheckpoint>, LogError> {
        let deadline = Instant::now() + SIGNED_WITHIN;
        loop {
            let newest = self.reader.newest_checkpoint().await?;
            let reached = newest.as_ref().map_or(Position::ZERO, |newest| newest.position);
            if reached >= position || Instant::now() >= deadline {
                return Ok(newest);
            }
            self.signature_wanted.notify_one();
            tokio::time::sleep(SIGNED_POLL).await;
        }
    }
}

fn read_error(error: &LogError) -> LogReadError {
    match error.is_about_rows() {
        true => LogReadError::Damaged(DamagedError(error.to_string())),
        false => unavailable(error).into(),
    }
}

fn unavailable(error: &LogError) -> UnavailableError {
    UnavailableError(error.to_string())
}

impl EventLog for LogBackend {
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

    fn reached_head(&self) -> BoxFuture<'_, Result<(), UnavailableError>> {
        async move {
            let head = self.reader.head().await.map_err(|error| unavailable(&error))?.position;
            let reached = tokio::time::timeout(REACHED_WITHIN, self.log.reached(head)).await;
            reached.map_err(|_| UnavailableError(format!("this server has not read the log up to position {head} yet")))
        }
        .boxed()
    }

    fn heads(&self) -> watch::Receiver<Position> {
        self.heads.clone()
    }

    fn submit_planned(
        &self,
        request: Request,
        actor: Actor,
        key: Option<String>,
        plan: PlanCondition,
    ) -> BoxFuture<'_, Result<Answer, SubmitError>> {
        async move { self.log.submit_planned(request, actor, key.as_deref(), plan).await }.boxed()
    }

    fn events(&self, page: EventPage) -> BoxFuture<'_, Result<Vec<Event>, LogReadError>> {
        async move { self.log.findings().events(&self.reader, page).await.map_err(|error| read_error(&error)) }.boxed()
    }

    fn events_at(&self, positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Event>, LogReadError>> {
        let (findings, reader) = (self.log.findings(), &self.reader);
        async move { findings.events_at(reader, &positions).await.map_err(|error| read_error(&error)) }.boxed()
    }

    fn events_of(&self, command_id: CommandId) -> BoxFuture<'_, Result<Vec<Event>, LogReadError>> {
        let (findings, reader) = (self.log.findings(), &self.reader);
        async move { findings.events_of(reader, command_id).await.map_err(|error| read_error(&error)) }.boxed()
    }

    fn content(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Vec<u8>>, UnavailableError>> {
        async move {
            let found = self.reader.contents(&[digest]).await.map_err(|error| unavailable(&error))?;
            Ok(found.into_values().next())
        }
        .boxed()
    }

    fn known_contents(
        &self,
        digests: Vec<Digest>,
    ) -> BoxFuture<'_, Result<BTreeMap<Digest, KnownContent>, UnavailableError>> {
        async move { self.reader.known_contents(&digests).await.map_err(|error| unavailable(&error)) }.boxed()
    }

    fn absent_contents(&self, digests: Vec<Digest>) -> BoxFuture<'_, Result<BTreeSet<Digest>, UnavailableError>> {
        async move {
            let absent = self.reader.absent(&digests).await.map_err(|error| unavailable(&error))?;
            Ok(absent.into_iter().collect())
        }
        .boxed()
    }

    fn past(&self, moment: AsOf) -> BoxFuture<'_, Result<Configuration, PastStateError>> {
        async move {
            match self.log.past(moment).await {
                Ok(Some(past)) => Ok(past),
                Ok(None) => Err(PastStateError::Future { head: self.log.view().position() }),
                Err(error) => Err(read_error(&error).into()),
            }
        }
        .boxed()
    }

    fn newest_checkpoint(
        &self,
        at_least: Position,
    ) -> BoxFuture<'_, Result<Option<SignedCheckpoint>, UnavailableError>> {
        async move {
            let newest = self.wait_for_checkpoint(at_least).await.map_err(|error| unavailable(&error))?;
            let Some(StoredCheckpoint { position, at, note }) = newest else { return Ok(None) };
            let log_id = self.log_id();
            let opened = Checkpoint::open(note.as_bytes(), log_id, &self.public_key());
            let Checkpoint { root, .. } =
                opened.map_err(|bad| UnavailableError(format!("the checkpoint at position {position}: {bad}")))?;
            Ok(Some(SignedCheckpoint { log_id, position, root, at, note }))
        }
        .boxed()
    }

    fn answer(&self, question: TreeQuery) -> BoxFuture<'_, Result<ProofHashes, UnavailableError>> {
        async move { self.reader.answer(question).await.map_err(|error| unavailable(&error)) }.boxed()
    }
}
