//! Errors of processes, files and servers on this machine.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use super::server_programs::ProgramNotFoundError;

/// A process, file or server on this machine failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A server program is missing.
    #[error(transparent)]
    NotFound(#[from] ProgramNotFoundError),
    /// We are root, and `setpriv` is missing.
    #[error("PostgreSQL does not run as root, and `setpriv` (util-linux) is not here to drop to another account")]
    NoSetpriv,
    /// We are root, and there is no other account to run PostgreSQL as.
    #[error("PostgreSQL does not run as root, and this machine has neither an account `postgres` nor `nobody`")]
    NoAccount,
    /// The system has no random bytes.
    #[error("the machine gives no random bytes")]
    NoRandomness,
    /// A certificate can't be made.
    #[error("a certificate could not be made")]
    Certificate(#[from] rcgen::Error),
    /// No port could be bound.
    #[error("no port of 127.0.0.1 could be bound")]
    NoPort(#[source] io::Error),
    /// A folder belongs to another account.
    #[error("{} belongs to somebody else, or is not a folder", .0.display())]
    NotOurs(PathBuf),
    /// PostgreSQL's account may not enter the folder.
    #[error("{} is there already, but PostgreSQL's account may not enter it: open the folders above it, or remove it", .0.display())]
    Shut(PathBuf),
    /// The data in /var/tmp that a symlink points to was removed.
    #[error("{} is gone, where the data of this folder lived: remove the folder to start anew", .0.display())]
    Gone(PathBuf),
    /// Another process holds the folder.
    #[error("another `headwater dev` is running on {}", .0.display())]
    Locked(PathBuf),
    /// A file operation failed.
    #[error("could not {verb} {}", .path.display())]
    File {
        /// The operation, such as `write`.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A process could not be started.
    #[error("could not start {name}")]
    Start {
        /// Of the process.
        name: String,
        /// The error of the system.
        source: io::Error,
    },
    /// A process could not be waited for.
    #[error("could not wait for {name}")]
    Wait {
        /// Of the process.
        name: String,
        /// The error of the system.
        source: io::Error,
    },
    /// A process ended before it was ready, or with an error.
    #[error("{name} ended ({status}); its log says:\n{log}")]
    Ended {
        /// Of the process.
        name: String,
        /// Its exit status.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// A server did not answer in time.
    #[error("{name} did not answer within {} s; its log says:\n{log}", .within.as_secs())]
    NotReady {
        /// Of the process.
        name: String,
        /// The limit.
        within: Duration,
        /// The end of its log.
        log: String,
    },
    /// The keys of nats-server's users can't be made.
    #[error(transparent)]
    Bus(Box<bus::bus_folder::BusFolderError>),
    /// PostgreSQL refused a statement.
    #[error("PostgreSQL refused")]
    Postgres(#[from] tokio_postgres::Error),
}

impl Error {
    pub(crate) fn file(verb: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        Self::File { verb, path, source }
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "program_not_found",
            Self::NoSetpriv => "no_setpriv",
            Self::NoAccount => "no_account",
            Self::NoRandomness => "no_randomness",
            Self::Certificate(_) => "certificate",
            Self::NoPort(_) => "no_port",
            Self::NotOurs(_) => "not_ours",
            Self::Shut(_) => "shut",
            Self::Gone(_) => "gone",
            Self::Locked(_) => "locked",
            Self::File { .. } => "file",
            Self::Start { .. } => "start",
            Self::Wait { .. } => "wait",
            Self::Ended { .. } => "ended",
            Self::NotReady { .. } => "not_ready",
            Self::Postgres(_) => "postgres",
            Self::Bus(_) => "bus",
        }
    }
}
