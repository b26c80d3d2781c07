//! Why an exchange with the server failed, or its result could not be printed: a part of the error of every command.

use program::exit::ExitClass;
use program::output::StdoutError;

use crate::error::Error as ClientError;

/// Why nothing came of it, or not everything was printed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused, or could not be reached.
    #[error(transparent)]
    Server(#[from] ClientError),
    /// What is asked for does not go together, or there is no such thing.
    #[error("{0}")]
    Usage(String),
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
            Self::Usage(_) => ExitClass::Usage,
            Self::Output(_) => ExitClass::Unreachable,
        }
    }
}
