//! Why `wait` did not end well.

use program::exit::ExitClass;
use program::output::StdoutError;

use crate::error::Error as ClientError;

/// The nodes are not what was waited for, or it is not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused, or could not be reached.
    #[error(transparent)]
    Server(#[from] ClientError),
    /// A node failed, refused, or is offline and must not be.
    #[error("{0}")]
    NotConverged(String),
    /// The time is up.
    #[error("{0}")]
    TimedOut(String),
    /// Standard output can't be written.
    #[error(transparent)]
    Output(#[from] StdoutError),
}

impl Error {
    /// The class of the failure.
    #[must_use]
    pub fn exit_class(&self) -> ExitClass {
        match self {
            Self::Server(error) => error.exit_class(),
            Self::NotConverged(_) => ExitClass::Refused,
            Self::TimedOut(_) | Self::Output(_) => ExitClass::Unreachable,
        }
    }
}
