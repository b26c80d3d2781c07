//! Why nothing, or not all, was shown.

use program::output::StdoutError;

use crate::error::Error as ClientError;

/// Why nothing, or not all, was shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The door said no, or was not there.
    #[error(transparent)]
    Door(#[from] ClientError),
    /// Standard output can't be written.
    #[error(transparent)]
    Output(#[from] StdoutError),
}

impl Error {
    /// Whether something could not be reached or written, rather than being refused.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Door(error) => error.is_unreachable(),
            Self::Output(_) => true,
        }
    }
}
