//! What the door needs of the log, and nothing more. Whoever opens the door implements it.

use futures::future::BoxFuture;
use projections::configuration::Configuration;
use projections::refusal::Refused;
use replay::tree::{Proof, Question};
use schema::answer::Answer;
use schema::digest::Digest;
use schema::entity::{Actor, Entity};
use schema::event::Event;
use schema::id::{CommandId, LogId};
use schema::instant::Instant;
use schema::position::Position;
use schema::request::Request;
use schema::seal::PublicKey;
use tokio::sync::watch;

/// The log as the door sees it.
pub trait LogSource: Send + Sync + 'static {
    /// Which log.
    fn log_id(&self) -> LogId;

    /// What the centre's signatures are checked with.
    fn public_key(&self) -> PublicKey;

    /// A consistent snapshot, always at the end of a request. It never waits for a write, and it never goes back.
    fn view(&self) -> Configuration;

    /// Completes once the view has reached `position`. It may wait for ever: the door bounds it.
    fn reached(&self, position: Position) -> BoxFuture<'_, ()>;

    /// The head as this process knows it. It closes when nothing more can come.
    fn heads(&self) -> watch::Receiver<Position>;

    /// Decides and appends, and answers after the commit.
    fn submit(&self, submission: CommandSubmission) -> BoxFuture<'_, Result<Answer, SubmissionError>>;

    /// Committed events in order, each of them as it was appended.
    fn events(&self, page: EventQuery) -> BoxFuture<'_, Result<Vec<Event>, EventReadError>>;

    /// The events at these positions, in order and as they were appended.
    fn events_at(&self, positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Event>, EventReadError>>;

    /// The events of a request, in order and as they were appended; none if there is no such request, or it changed nothing.
    fn events_of(&self, command_id: CommandId) -> BoxFuture<'_, Result<Vec<Event>, EventReadError>>;

    /// The bytes that a digest names, if they are there.
    fn content(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Vec<u8>>, UnavailableError>>;

    /// The state as of a position or a time, at the end of the request that it falls into. What comes after the last event
    /// is as it left things.
    fn past(&self, at: At) -> BoxFuture<'_, Result<Configuration, PastError>>;

    /// The newest checkpoint, if there is any: one for at least this position, if it can be had within moments.
    fn signed_root(&self, position: Position) -> BoxFuture<'_, Result<Option<SignedRoot>, UnavailableError>>;

    /// What the tree over the log says. The question must make sense and be about what is there.
    fn answer(&self, question: Question) -> BoxFuture<'_, Result<Proof, UnavailableError>>;
}

/// A checkpoint: what the log's key signed about its tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRoot {
    /// The tree's size.
    pub position: Position,
    /// Its root.
    pub root: Digest,
    /// When it was signed.
    pub at: Instant,
    /// The signed note that says so.
    pub note: String,
}

/// A request with who sends it.
#[derive(Clone, Debug)]
pub struct CommandSubmission {
    /// What is asked for.
    pub request: Request,
    /// Who asks.
    pub actor: Actor,
    /// The sender's `Idempotency-Key`.
    pub key: Option<String>,
}

/// Which events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventQuery {
    /// Only those after this position.
    pub after: Position,
    /// And up to this one.
    pub up_to: Position,
    /// At most so many, the first ones.
    pub limit: usize,
    /// Each only if those before it have at most so many bytes of `data` together.
    pub bytes: usize,
    /// Only those about this.
    pub entity: Option<Entity>,
    /// Only those of this type.
    pub event_type: Option<String>,
}

/// A moment in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// By position.
    Position(Position),
    /// By time.
    Time(Instant),
}

/// The log can't be read or written at the moment: said in a sentence that may be shown to the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnavailableError(pub String);

/// What is stored is not what it was: said in a sentence that names the first position that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DamagedError(pub String);

/// Why events can't be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventReadError {
    /// The log can't be read.
    #[error(transparent)]
    Unavailable(#[from] UnavailableError),
    /// One of them is not what was appended.
    #[error(transparent)]
    Damaged(#[from] DamagedError),
}

/// Why a submission was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmissionError {
    /// It does not follow from what is there.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The key stands for another body.
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
    /// The clock that would date it is wrong.
    #[error("{0}")]
    ClockAhead(String),
    /// Too much is waiting.
    #[error("too many commands are waiting")]
    Busy,
    /// The log can't be written, or the outcome is not known.
    #[error(transparent)]
    Unavailable(#[from] UnavailableError),
}

/// Why a past state can't be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PastError {
    /// The log has no such position yet.
    #[error("the log ends at position {head}")]
    Future {
        /// The last position there is.
        head: Position,
    },
    /// The log can't be read.
    #[error(transparent)]
    Unavailable(#[from] UnavailableError),
    /// An event that it follows from is not what was appended.
    #[error(transparent)]
    Damaged(#[from] DamagedError),
}

impl From<EventReadError> for PastError {
    fn from(error: EventReadError) -> Self {
        match error {
            EventReadError::Unavailable(unavailable) => unavailable.into(),
            EventReadError::Damaged(damaged) => damaged.into(),
        }
    }
}
