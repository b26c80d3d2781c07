//! Why a command that only reads failed.

use program::output::StdoutError;

use crate::error::Error as ClientError;

/// Why nothing, or not everything, was printed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused, or could not be reached.
    #[error(transparent)]
    Server(#[from] ClientError),
    /// Standard output can't be written.
    #[error(transparent)]
    Output(#[from] StdoutError),
}

impl Error {
    /// Whether the server could not be reached or the output not written. If not, the request was refused.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Server(error) => error.is_unreachable(),
            Self::Output(_) => true,
        }
    }
}
