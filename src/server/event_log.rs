//! The log as `http` and `fleet` need it: one trait, which `adapters` implements over `store` and tests in memory.

use std::collections::{BTreeMap, BTreeSet};

use api::proof::SignedCheckpoint;
use futures::future::BoxFuture;
use projections::configuration::Configuration;
use projections::expectation::PlanCondition;
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
use tokio::sync::watch;

pub use replay::as_of::AsOf;
pub use store::log::SubmitError;
pub use store::reader::EventPage;

/// Reads of the log, and appends to it.
pub trait EventLog: Send + Sync + 'static {
    /// Which log.
    fn log_id(&self) -> LogId;

    /// The key that verifies the signatures of records and checkpoints.
    fn public_key(&self) -> PublicKey;

    /// The state at the end of the last request that this process has folded. It never waits for a write, and never goes back.
    fn view(&self) -> Configuration;

    /// Completes once the view has reached `position`, which may be never: the caller has to bound it.
    fn reached(&self, position: Position) -> BoxFuture<'_, ()>;

    /// Completes once the view has reached what is the head of the log now.
    fn reached_head(&self) -> BoxFuture<'_, Result<(), UnavailableError>>;

    /// The head as this process knows it. The channel closes when the log takes no more events.
    fn heads(&self) -> watch::Receiver<Position>;

    /// Decides and appends a request, and completes after the commit. `key` is the sender's `Idempotency-Key`.
    fn submit(
        &self,
        request: Request,
        actor: Actor,
        key: Option<String>,
    ) -> BoxFuture<'_, Result<Answer, SubmitError>> {
        self.submit_planned(request, actor, key, PlanCondition::None)
    }

    /// As [`EventLog::submit`], on a condition about what comes of the request.
    fn submit_planned(
        &self,
        request: Request,
        actor: Actor,
        key: Option<String>,
        plan: PlanCondition,
    ) -> BoxFuture<'_, Result<Answer, SubmitError>>;

    /// A page of committed events, in order, each as it was appended.
    fn events(&self, page: EventPage) -> BoxFuture<'_, Result<Vec<Event>, LogReadError>>;

    /// The events at these positions, in order, each as it was appended.
    fn events_at(&self, positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Event>, LogReadError>>;

    /// The events of a request, in order, each as it was appended; none if the log has no such request or it changed nothing.
    fn events_of(&self, command_id: CommandId) -> BoxFuture<'_, Result<Vec<Event>, LogReadError>>;

    /// The bytes that a digest names, if they are stored.
    fn content(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Vec<u8>>, UnavailableError>>;

    /// What is known of those of these contents that are stored.
    fn known_contents(
        &self,
        digests: Vec<Digest>,
    ) -> BoxFuture<'_, Result<BTreeMap<Digest, KnownContent>, UnavailableError>>;

    /// Those of these contents that are not stored.
    fn absent_contents(&self, digests: Vec<Digest>) -> BoxFuture<'_, Result<BTreeSet<Digest>, UnavailableError>>;

    /// The state as of a moment, at the end of the request that the moment falls into. A time after the last event gives the
    /// state at the head.
    fn past(&self, moment: AsOf) -> BoxFuture<'_, Result<Configuration, PastStateError>>;

    /// The newest checkpoint, if there is any. The log waits a short time for one of at least this position.
    fn newest_checkpoint(
        &self,
        at_least: Position,
    ) -> BoxFuture<'_, Result<Option<SignedCheckpoint>, UnavailableError>>;

    /// A proof from the tree over the log. The question must be well-formed and about positions that the log has.
    fn answer(&self, question: TreeQuery) -> BoxFuture<'_, Result<ProofHashes, UnavailableError>>;
}

/// The log can't be read or written at the moment. The sentence may be shown to the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnavailableError(pub String);

/// Stored events or contents are not what was appended. The sentence names the first wrong position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DamagedError(pub String);

/// Why events were not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogReadError {
    /// The log can't be read.
    #[error(transparent)]
    Unavailable(#[from] UnavailableError),
    /// One of the events is not what was appended.
    #[error(transparent)]
    Damaged(#[from] DamagedError),
}

/// Why there is no state for a moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PastStateError {
    /// The log does not have that position yet.
    #[error("the log ends at position {head}")]
    Future {
        /// The last position of the log.
        head: Position,
    },
    /// The log can't be read.
    #[error(transparent)]
    Unavailable(#[from] UnavailableError),
    /// An event that the state follows from is not what was appended.
    #[error(transparent)]
    Damaged(#[from] DamagedError),
}

impl From<LogReadError> for PastStateError {
    fn from(error: LogReadError) -> Self {
        match error {
            LogReadError::Unavailable(unavailable) => unavailable.into(),
            LogReadError::Damaged(damaged) => damaged.into(),
        }
    }
}
