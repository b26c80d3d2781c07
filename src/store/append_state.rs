//! The states of one batch of requests on its way into the log.
//!
//! Requests that arrive while a transaction is in flight share the next one (group commit), and are decided meanwhile (speculative
//! execution). A batch that was decided against the current head is stored by one statement without a lock; the statement stores
//! nothing if head or epoch are not those that the batch expects. Every other batch is decided while the head row is locked.
//!
//! If the connection breaks before PostgreSQL answers, the outcome is unknown: the transaction may be committed already, or later.
//! Then the head row is locked and the batch is looked for. If it is absent, the epoch is raised (fencing), so that the batch can
//! never be stored. Only after that is a caller told "not stored", or the batch sent again.
//!
//! | state | what is known | step | next state |
//! |---|---|---|---|
//! | `Queued` | nothing was sent | lock the head row, fold what other processes appended | `Locked` |
//! | `Speculated` | as `Queued`; decided against the state that the batch before it leaves behind | compare that state with the head; is the epoch known, and no receipt to be looked up? | `InFlight` without a lock, else `Locked` |
//! | `Locked` | the session holds the head row's lock | check the clocks; decide, unless the speculative decision holds | `InFlight` under the lock; `Answered` if there is nothing to store |
//! | `InFlight` | the batch is on its way | store it; meanwhile decide the next batch speculatively | `Answered` |
//! | | | the head had moved, so nothing was stored | `Queued` |
//! | | | PostgreSQL refused the batch | error, `Queued` |
//! | | | the connection broke | error, `Unknown` |
//! | `Unknown` | the batch may be stored, now or later | lock the head row, look for the batch; raise the epoch if it is absent | `Answered` or `RuledOut` |
//! | `RuledOut` | the batch is not stored and never will be | the appender sends it again, in smaller parts if it has more than one request | `Queued` |
//! | `Answered` | every request has its verdict | the callers are answered | the next batch |
//!
//! Any other failure of a step leaves `Unknown` as it is and every other state as `Queued`; the appender waits and steps again, or
//! tells the callers. It tells them nothing in state `Unknown`, except when the process is asked to end.

use super::append_session::{Epoch, LockedHead};
use super::batch::DecidedBatch;
use super::database::Error;
use super::submission::SubmissionVerdict;
use schema::instant::Instant;

/// The state of a batch; `S` is a session. A session stands in a state exactly while it is in a transaction.
pub(crate) enum AppendState<S> {
    Queued,
    Speculated(Box<DecidedBatch>),
    Locked(Box<Locked<S>>),
    InFlight(InFlight<S>),
    Unknown(Box<DecidedBatch>),
    RuledOut,
    Answered(Vec<SubmissionVerdict>),
}

/// The head row is locked and what other processes appended is folded.
pub(crate) struct Locked<S> {
    pub(crate) session: S,
    pub(crate) head: LockedHead,
    /// What this server's clock said before the head was read.
    pub(crate) server_clock: Instant,
    /// The speculative decision, if there is one.
    pub(crate) speculated: Option<Box<DecidedBatch>>,
}

/// A decided batch with the session that stores it.
pub(crate) struct InFlight<S> {
    pub(crate) session: S,
    pub(crate) batch: Box<DecidedBatch>,
    pub(crate) guard: HeadGuard,
}

/// What makes sure that the head is the one that the batch was decided against, with the epoch of that head.
#[derive(Clone, Copy, Debug)]
pub(crate) enum HeadGuard {
    /// The lock of the head row, which the session holds.
    Locked(Epoch),
    /// The statement itself: it stores nothing if the head or the epoch is another one.
    Expected(Epoch),
}

/// A step failed; the state says what is known now.
pub(crate) struct StepFailure<S> {
    pub(crate) error: Error,
    pub(crate) state: AppendState<S>,
}

/// The next state, or a failure.
pub(crate) type Stepped<S> = Result<AppendState<S>, StepFailure<S>>;

impl<S> AppendState<S> {
    /// The state of a batch of which nothing was sent.
    pub(crate) fn unsent(speculated: Option<Box<DecidedBatch>>) -> Self {
        speculated.map_or(Self::Queued, Self::Speculated)
    }

    /// Whether nothing of the batch was sent and no transaction is open.
    pub(crate) fn is_unsent(&self) -> bool {
        matches!(self, Self::Queued | Self::Speculated(_))
    }

    /// Whether the batch may be stored without anybody knowing.
    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }
}

/// A failure before anything was sent.
impl<S> From<Error> for StepFailure<S> {
    fn from(error: Error) -> Self {
        Self { error, state: AppendState::Queued }
    }
}
