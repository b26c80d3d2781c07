//! Why something could not be made public (for now).

use futures::future::BoxFuture;
use schema::id::LogId;
use schema::position::Position;

/// What a source of content and events says when it has none.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;
/// An answer that takes a while.
pub type Later<'a, T> = BoxFuture<'a, Result<T, SourceError>>;

/// Why something could not be made public.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// NATS did not take it, or did not answer.
    #[error("NATS: {what}: {why}")]
    Nats {
        /// What was being done.
        what: String,
        /// What NATS or the client said.
        why: String,
    },
    /// What is in NATS is not what was left there.
    #[error("somebody else wrote to {0}")]
    Disturbed(String),
    /// What is in NATS is ahead of the log, or is another log's.
    #[error(
        "{what} is at position {found}, but the log ends at {head}: was the database put back to an earlier state, did somebody \
         else write there, or does another log use the same NATS? Nothing is published until this is settled: see \
         `headwater recover`"
    )]
    Forked {
        /// What is ahead.
        what: String,
        /// Where it is.
        found: Position,
        /// Where the log ends.
        head: Position,
    },
    /// NATS and the log tell different stories of the same position.
    #[error(
        "{what} at position {position} is not what the log has there: was the database put back and then appended to, did \
         somebody else write there, or does another log use the same NATS? See `headwater recover`"
    )]
    Differs {
        /// What differs.
        what: String,
        /// Where.
        position: Position,
    },
    /// The prefix is another log's.
    #[error(
        "the names under prefix {prefix} in NATS belong to {owner}, not to log {log_id}: two logs that share a NATS need two \
         prefixes (`--nats-prefix`)"
    )]
    Owned {
        /// The prefix.
        prefix: String,
        /// Whose it is, and what shows it.
        owner: String,
        /// The log that wants to use it.
        log_id: LogId,
    },
    /// Nothing can be written to a stream any more.
    #[error(
        "stream {0} in NATS is sealed, so that nothing can be written to it: remove it (`nats stream rm {0}`), and it is made \
         again; what follows from the log is filled in"
    )]
    Sealed(String),
    /// The log could not be read.
    #[error("the log could not be read: {0}")]
    Source(SourceError),
    /// The signing key can't be used.
    #[error("signing key {path}: {why}")]
    Key {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Error {
    pub(crate) fn nats(what: impl Into<String>, why: impl std::fmt::Display) -> Self {
        Self::Nats { what: what.into(), why: why.to_string() }
    }

    /// Whether it may work later without anybody's doing.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Nats { .. } | Self::Disturbed(_) | Self::Source(_))
    }
}
