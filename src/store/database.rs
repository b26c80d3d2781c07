//! Connections to PostgreSQL: addresses, timeouts, and the errors of the log.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use postgres::{PostgresEndpoint, PostgresOpenError, shown_error};
use replay::log::DivergenceError;
use replay::reverify::ReverifyError;
use replay::tree::TreeQueryError;
use schema::position::Position;
use tls::error::Error as TlsError;
use tokio_postgres::Client;
use tokio_postgres::config::Host;
use tokio_postgres::error::SqlState;

use super::clocks::ClockAhead;

/// How long connecting may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// The flags that an error names, unless [`Database::told_by`] gives others.
const LOOK_AT: &str = "--database-url and --database-password-file";
/// How long an answer may take. A frozen server keeps its sockets open, so only a deadline detects it.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// How long sent data may stay unacknowledged before the connection is closed.
const HEARD_WITHIN: Duration = Duration::from_secs(15);
/// A peer that disappeared is detected after about idle + interval × retries.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVE_RETRIES: u32 = 3;

/// The settings of every session. A process that freezes while it holds the head row's lock is cut off, and nobody waits for a lock or
/// a statement for ever. The timeouts are shorter than [`ANSWER_WITHIN`], so that the server's reason arrives first. Each statement sees
/// what was committed before it began.
const SESSION: &str = "SET idle_in_transaction_session_timeout = '5s'; SET lock_timeout = '10s'; \
                       SET statement_timeout = '15s'; SET tcp_user_timeout = '15s'; SET timezone = 'UTC'; \
                       SET default_transaction_isolation = 'read committed'";

/// The address of a log's database.
#[derive(Clone, Debug)]
pub struct Database {
    endpoint: PostgresEndpoint,
    look_at: String,
}

/// Why the log can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address can't be parsed.
    #[error("the database URL is not valid: postgres://user:password@host:port/database is expected")]
    Address(#[source] tokio_postgres::Error),
    /// PostgreSQL refused, or the connection broke.
    #[error("PostgreSQL: {}", shown_error(.0))]
    Postgres(tokio_postgres::Error),
    /// No session could be opened.
    #[error("PostgreSQL at {place} does not let `{user}` in: {why}. Look at {look_at}", why = not_let_in(error.as_ref()))]
    Connect {
        /// Where.
        place: String,
        /// Who.
        user: String,
        /// Which flags and files say so.
        look_at: String,
        /// What it said, if it answered.
        error: Option<tokio_postgres::Error>,
    },
    /// The CA of PostgreSQL can't be used.
    #[error("the CA of PostgreSQL can't be used (--database-ca-file)")]
    Authorities(#[from] TlsError),
    /// PostgreSQL did not answer in time.
    #[error("PostgreSQL did not answer within {} s", ANSWER_WITHIN.as_secs())]
    Silent,
    /// No log is installed in this database, or an older version installed it.
    #[error(
        "there is no log in this database, or only what an older headwater installed: run `headwater install` first"
    )]
    NotInstalled,
    /// The log is not what it must be.
    #[error("the log in PostgreSQL is not intact {0}")]
    Diverged(#[from] DivergenceError),
    /// The check of the whole log found a row that was changed.
    #[error("the log in PostgreSQL is not what it was, {0}")]
    Found(ReverifyError),
    /// A row does not have the shape of an event.
    #[error("event {position} in PostgreSQL can't be read: {why}")]
    Row {
        /// Which row.
        position: Position,
        /// What is wrong with it.
        why: String,
    },
    /// The head is below what was folded: the database was put back to an earlier state, or is another one.
    #[error("the log ends at {head} but had reached {folded}: the database was put back to an earlier state")]
    WentBack {
        /// Where it ends.
        head: Position,
        /// What was folded.
        folded: Position,
    },
    /// The tree has no answer to this question.
    #[error(transparent)]
    Unanswerable(#[from] TreeQueryError),
    /// There is an event behind the last one.
    #[error("event {found} is in the table, but the log ends at {head}: it was put there directly")]
    Beyond {
        /// The event.
        found: Position,
        /// Where the log ends.
        head: Position,
    },
    /// The head names another root than the events have.
    #[error(
        "the events up to {position} are not those that the root at the head of the log was made from: the log was changed \
         directly, or an older headwater appended beside this one, which `headwater install` puts right"
    )]
    OtherRoot {
        /// Where the log ends.
        position: Position,
    },
    /// What was sent was decided from another head than there is by now.
    #[error("another process appended")]
    Moved,
    /// What was sent without an answer is now known not to be stored.
    #[error("what was sent was not committed")]
    Uncommitted,
    /// The process was asked to end while it waited for PostgreSQL.
    #[error("this server is stopping, and PostgreSQL did not answer")]
    Ending,
    /// Nothing may be appended now.
    #[error("{0}")]
    Withheld(String),
    /// This server's clock is ahead of one that is right.
    #[error(transparent)]
    ClockAhead(#[from] ClockAhead),
    /// The database holds another log than when this program started.
    #[error("the database now holds another log than the one that this program began with: start it again")]
    OtherLog,
    /// The role lacks a right that the installation needs.
    #[error(
        "role `{user}` may not {what}: nothing more was installed. A superuser may; or an administrator of PostgreSQL runs once what \
         `headwater install --print-roles` prints, and the database's owner installs without password files"
    )]
    MayNot {
        /// Who.
        user: String,
        /// What.
        what: String,
    },
    /// The schema could not be installed.
    #[error("the schema can't be installed: {0}")]
    Migration(String),
    /// The log was installed with another signing key.
    #[error("the log was installed with another signing key ({installed}); this one is {given}")]
    OtherKey {
        /// The installed public key in hex.
        installed: String,
        /// The given public key in hex.
        given: String,
    },
}

fn not_let_in(error: Option<&tokio_postgres::Error>) -> String {
    error.map_or_else(|| format!("it did not answer within {} s", CONNECT_WITHIN.as_secs()), shown_error)
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl Error {
    /// Whether the same may work later without anybody's doing.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            // Its file may be there again, as it is read for each session.
            Self::Authorities(_) => true,
            Self::Silent | Self::Moved | Self::Uncommitted | Self::Ending => true,
            Self::Connect { error: None, .. } => true,
            Self::Postgres(error) | Self::Connect { error: Some(error), .. } => {
                !error.as_db_error().is_some_and(|refused| is_lasting(refused.code()))
            }
            _ => false,
        }
    }

    /// Whether a row is not what it was, or can't be told to be.
    #[must_use]
    pub fn is_about_rows(&self) -> bool {
        matches!(self, Self::Diverged(_) | Self::Found(_) | Self::Row { .. })
    }

    /// Whether the role may not do it.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Postgres(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE))
    }

    /// The same, or [`Error::NotInstalled`] where something that every log has is not there.
    pub(crate) fn or_not_installed(self) -> Self {
        match self {
            Self::Postgres(error) if error.code().is_some_and(is_not_there) => Self::NotInstalled,
            error => error,
        }
    }

    /// Whether the fault lies in what was to be written, so that others can still be written.
    #[must_use]
    pub fn is_about_data(&self) -> bool {
        let Self::Postgres(error) = self else { return false };
        error.code().is_some_and(|code| matches!(&code.code()[..2], "22" | "23" | "54"))
    }
}

/// Tables and columns are what a migration brings.
fn is_not_there(code: &SqlState) -> bool {
    [SqlState::UNDEFINED_TABLE, SqlState::UNDEFINED_COLUMN].contains(code)
}

/// Wrong credentials, missing rights and missing objects stay wrong until somebody acts.
fn is_lasting(code: &SqlState) -> bool {
    matches!(&code.code()[..2], "28" | "3D" | "42")
}

impl Database {
    /// A database from its URL or its `key=value` form.
    ///
    /// # Errors
    /// If it is neither.
    pub fn parse(url: &str) -> Result<Self, Error> {
        let mut endpoint = PostgresEndpoint::parse(url).map_err(Error::Address)?;
        endpoint
            .config_mut()
            .connect_timeout(CONNECT_WITHIN)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES)
            .tcp_user_timeout(HEARD_WITHIN);
        Ok(Self { endpoint, look_at: LOOK_AT.to_owned() })
    }

    /// The same over TLS, where the CA in this file, if there is one, has signed PostgreSQL's certificate.
    ///
    /// # Errors
    /// If the file can't be used.
    pub fn verified_by(self, ca_file: Option<&Path>) -> Result<Self, TlsError> {
        Ok(Self { endpoint: self.endpoint.verified_by(ca_file)?, ..self })
    }

    /// Whether nobody else can listen in: by TLS, or because it is this machine.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.endpoint.is_protected()
    }

    /// The same, whose errors name these flags and files as what to look at.
    #[must_use]
    pub fn told_by(self, look_at: String) -> Self {
        Self { look_at, ..self }
    }

    /// The name of the database.
    #[must_use]
    pub fn name(&self) -> &str {
        self.endpoint.config().get_dbname().or_else(|| self.endpoint.config().get_user()).unwrap_or("postgres")
    }

    /// Where it is: `host:port/name`.
    #[must_use]
    pub fn place(&self) -> String {
        let ports = self.endpoint.config().get_ports();
        let at = |(index, host): (usize, &Host)| {
            let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
            match host {
                Host::Tcp(host) => format!("{host}:{port}"),
                #[cfg(unix)]
                Host::Unix(folder) => format!("{}:{port}", folder.display()),
            }
        };
        let hosts: Vec<String> = self.endpoint.config().get_hosts().iter().enumerate().map(at).collect();
        format!("{}/{}", hosts.join(","), self.name())
    }

    /// The role that logs in.
    #[must_use]
    pub fn user(&self) -> &str {
        self.endpoint.config().get_user().unwrap_or("postgres")
    }

    /// A new session. It ends when the client is dropped.
    ///
    /// # Errors
    /// If PostgreSQL can't be reached or refuses.
    pub async fn connect(&self, purpose: &str) -> Result<Client, Error> {
        let mut config = self.endpoint.config().clone();
        config.application_name(format!("headwater {purpose}"));
        let within = CONNECT_WITHIN * u32::try_from(config.get_hosts().len().max(1)).unwrap_or(1);
        let connected = tokio::time::timeout(within, self.endpoint.open(&config)).await;
        let refused = |error| Error::Connect {
            place: self.place(),
            user: self.user().to_owned(),
            look_at: self.look_at.clone(),
            error,
        };
        let client = connected.map_err(|_| refused(None))?.map_err(|error| match error {
            PostgresOpenError::Postgres(error) => refused(Some(error)),
            PostgresOpenError::Authorities(error) => Error::Authorities(error),
        })?;
        in_time(client.batch_execute(SESSION)).await?;
        metrics::connection_made("postgres");
        Ok(client)
    }
}

/// The answer, unless it takes too long.
pub(crate) async fn in_time<T>(answer: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Error> {
    match tokio::time::timeout(ANSWER_WITHIN, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Error::Silent),
    }
}
