//! Why the write-ahead log can't be followed (for now).

use pgwire_replication::PgWireError;
use postgres::shown_error;
use schema::address::PUBLICATION;

use super::publication;
use super::tail::SILENCE_MAX;
use super::tunnel::TunnelError;

/// Why the write-ahead log can't be followed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is none.
    #[error("the replication URL is not valid: postgres://user:password@host:port/database is expected")]
    Address(#[source] tokio_postgres::Error),
    /// Another relay holds the slot.
    #[error("replication slot {0} is held by another server")]
    SlotBusy(String),
    /// The control session failed.
    #[error("PostgreSQL: {}", shown_error(.0))]
    Control(tokio_postgres::Error),
    /// No session could be opened.
    #[error("PostgreSQL at {place} does not let `{user}` in to replicate: {}. Look at --replication-url and its password file", shown_error(.error))]
    Connect {
        /// Where.
        place: String,
        /// Who.
        user: String,
        /// Why.
        error: tokio_postgres::Error,
    },
    /// There is no way to PostgreSQL over TLS.
    #[error(transparent)]
    Tunnel(#[from] TunnelError),
    /// The role may not replicate.
    #[error(
        "role `{user}` may not replicate ({why}): give --replication-url as role headwater_relay, or let this one replicate \
         (ALTER ROLE … REPLICATION, by an administrator of PostgreSQL)"
    )]
    MayNotReplicate {
        /// Who.
        user: String,
        /// What PostgreSQL said.
        why: String,
    },
    /// The stream failed.
    #[error("the replication stream broke: {0}")]
    Stream(PgWireError),
    /// What was written cannot be decoded: its publication was missing then.
    #[error("publication {PUBLICATION} was missing when something was written, which no slot can decode any more: {0}")]
    Undecodable(PgWireError),
    /// The publication is not as it was installed.
    #[error(
        "{0}: nothing is published until `headwater install`, as the database's owner, makes the publication again. \
         Nothing is lost: what is appended meanwhile is read from the table then"
    )]
    Publication(publication::Fault),
    /// Nothing was heard for too long, although a heartbeat was written.
    #[error("nothing came through the write-ahead log within {} s of a heartbeat", SILENCE_MAX.as_secs())]
    Silent,
    /// PostgreSQL did not answer in time.
    #[error("PostgreSQL did not answer in time")]
    Unanswered,
    /// PostgreSQL ended the stream.
    #[error("PostgreSQL ended the replication stream")]
    Ended,
    /// The stream does not say what it must.
    #[error("the replication stream can't be understood: {0}")]
    Decode(#[from] super::decode::Malformed),
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Control(error)
    }
}

/// The crate has the SQLSTATE in its text only.
fn has_code(text: &str, code: &str) -> bool {
    text.contains(&format!("SQLSTATE {code}"))
}

impl From<PgWireError> for Error {
    fn from(error: PgWireError) -> Self {
        const UNDEFINED_OBJECT: &str = "42704";
        match &error {
            PgWireError::Server(text) if has_code(text, UNDEFINED_OBJECT) => Self::Undecodable(error),
            _ => Self::Stream(error),
        }
    }
}

impl Error {
    /// Whether PostgreSQL said nothing at all.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Control(error) | Self::Connect { error, .. } => error.as_db_error().is_none(),
            Self::Silent | Self::Unanswered | Self::Ended | Self::Tunnel(_) => true,
            Self::Address(_) | Self::MayNotReplicate { .. } | Self::SlotBusy(_) | Self::Stream(_) => false,
            Self::Decode(_) | Self::Undecodable(_) | Self::Publication(_) => false,
        }
    }

    /// Names the role where it may not replicate: the stream's and the session's errors say it alike.
    pub(crate) fn or_may_not_replicate(self, user: &str) -> Self {
        const PRIVILEGE: &str = "42501";
        let why = match &self {
            Self::Control(error) if error.code().is_some_and(|code| code.code() == PRIVILEGE) => shown_error(error),
            Self::Stream(PgWireError::Server(text)) if has_code(text, PRIVILEGE) => text.clone(),
            _ => return self,
        };
        Self::MayNotReplicate { user: user.to_owned(), why }
    }

    /// Names the slot where the stream says that it is in use.
    pub(crate) fn starting(error: PgWireError, slot: &str) -> Self {
        const OBJECT_IN_USE: &str = "55006";
        match &error {
            PgWireError::Server(text) if has_code(text, OBJECT_IN_USE) => Self::SlotBusy(slot.to_owned()),
            _ => error.into(),
        }
    }
}
