//! Why something could not be published, now or at all.

use futures::future::BoxFuture;
use schema::id::LogId;
use schema::position::Position;

/// Why a source of content and events gives none.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;
/// The answer of a source.
pub type SourceFuture<'a, T> = BoxFuture<'a, Result<T, SourceError>>;

/// Why something could not be published.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// NATS refused, or did not answer.
    #[error("NATS: {what}: {why}")]
    Nats {
        /// The operation, as a phrase.
        what: String,
        /// The error of NATS or of its client.
        why: String,
    },
    /// A stream or bucket is not as this publisher left it.
    #[error("somebody else wrote to {0}")]
    Disturbed(String),
    /// NATS is ahead of the log, or holds another log's.
    #[error(
        "{what} is at position {found}, but the log ends at {head}: was the database put back to an earlier state, did somebody \
         else write there, or does another log use the same NATS? Nothing is published until this is settled: see \
         `headwater recover`"
    )]
    Forked {
        /// The stream or record that is ahead.
        what: String,
        /// Its position.
        found: Position,
        /// The last position of the log.
        head: Position,
    },
    /// NATS and the log have different events at the same position.
    #[error(
        "{what} at position {position} is not what the log has there: was the database put back and then appended to, did \
         somebody else write there, or does another log use the same NATS? See `headwater recover`"
    )]
    Differs {
        /// The stream that differs.
        what: String,
        /// The first position that differs.
        position: Position,
    },
    /// The prefix belongs to another log.
    #[error(
        "the names under prefix {prefix} in NATS belong to {owner}, not to log {log_id}: two logs that share a NATS need two \
         prefixes (`--nats-prefix`)"
    )]
    Owned {
        /// The prefix of the names in NATS.
        prefix: String,
        /// The log that it belongs to, and what shows it.
        owner: String,
        /// The log that was to use it.
        log_id: LogId,
    },
    /// A stream is sealed: it takes no messages any more.
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
        /// The key's file.
        path: String,
        /// What is wrong with the file.
        why: String,
    },
}

impl Error {
    pub(crate) fn nats(what: impl Into<String>, why: impl std::fmt::Display) -> Self {
        Self::Nats { what: what.into(), why: why.to_string() }
    }

    /// Whether it may succeed later without anybody's doing.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Nats { .. } | Self::Disturbed(_) | Self::Source(_))
    }
}
