//! What the appender needs of the store, as two traits: the store, and one session that appends to it.
//!
//! PostgreSQL is the only implementation in the product. The model test implements them over a store in memory that loses connections
//! and answers at chosen moments.

use replay::log::Follower;
use schema::event::Event;
use schema::id::{CommandId, EventId, LogId};
use schema::instant::Instant;
use schema::position::Position;

use super::batch::{DecidedBatch, RequestReceipt};
use super::database::Error;
use super::reader::Head;
use super::snapshots::Snapshots;

/// The fencing epoch: it stands in the head row and is raised whenever a batch with an unknown outcome is ruled out. A batch that
/// expects an older epoch is not stored, however late it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch(pub(crate) i64);

/// The head row and what a session reads while it holds the row's lock.
pub(crate) struct LockedHead {
    pub(crate) head: Head,
    pub(crate) epoch: Epoch,
    /// What PostgreSQL's clock said.
    pub(crate) clock: Instant,
    /// Events after the position that was asked about; not all of them if there are many.
    pub(crate) later: Vec<Event>,
    /// Receipts of the requests that were asked about.
    pub(crate) receipts: Vec<RequestReceipt>,
}

/// Why a batch is not known to be stored.
#[derive(Debug)]
pub(crate) enum StoreFailure {
    /// PostgreSQL refused the batch: nothing of it is stored, and nothing will be.
    Refused(Error),
    /// The answer is missing. The batch may be stored, or may still be stored later.
    Unknown(Error),
}

impl From<StoreFailure> for Error {
    fn from(failure: StoreFailure) -> Self {
        match failure {
            StoreFailure::Refused(error) | StoreFailure::Unknown(error) => error,
        }
    }
}

/// A log that can be appended to.
pub(crate) trait AppendStore: Clone + Send + Sync + 'static {
    type Session: AppendSession;

    fn log_id(&self) -> LogId;

    /// A new session.
    fn connect(&self) -> impl Future<Output = Result<Self::Session, Error>> + Send;

    /// The head, read without its lock.
    fn head(&self) -> impl Future<Output = Result<Head, Error>> + Send;

    /// The head, read without its lock, and what PostgreSQL's clock says.
    fn head_and_clock(&self) -> impl Future<Output = Result<(Head, Instant), Error>> + Send;

    /// Folds the log up to a position, and takes snapshots on the way.
    fn follow(
        &self,
        follower: &mut Follower,
        up_to: Position,
        snapshots: &Snapshots,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

/// A session that appends. Dropping it ends its transaction without a trace, unless a COMMIT was sent.
pub(crate) trait AppendSession: Send + Sync + 'static {
    fn is_closed(&self) -> bool;

    /// Begins a transaction and locks the head row; then reads the events after a position and the receipts of these requests.
    fn lock_head(
        &self,
        log_id: LogId,
        after: Position,
        requests: &[CommandId],
    ) -> impl Future<Output = Result<LockedHead, Error>> + Send;

    /// Tells PostgreSQL that the holder of the lock is alive.
    fn keep_alive(&self) -> impl Future<Output = Result<(), Error>> + Send;

    /// Stores a batch while the head row is locked, and commits.
    fn commit(
        &self,
        log_id: LogId,
        batch: &DecidedBatch,
        epoch: Epoch,
    ) -> impl Future<Output = Result<(), StoreFailure>> + Send;

    /// Stores a batch by one statement that is a transaction of its own, without the lock. False if head or epoch are not those that
    /// the batch expects; nothing is stored then.
    fn append(
        &self,
        log_id: LogId,
        batch: &DecidedBatch,
        epoch: Epoch,
    ) -> impl Future<Output = Result<bool, StoreFailure>> + Send;

    /// Raises the epoch and commits: batches that expect an older epoch can never be stored after that.
    fn fence(&self) -> impl Future<Output = Result<(), Error>> + Send;

    /// Whether an event is stored. Certain only while the head row is locked.
    fn contains(&self, event: EventId) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Ends the transaction without a trace.
    fn roll_back(&self) -> impl Future<Output = Result<(), Error>> + Send;
}
