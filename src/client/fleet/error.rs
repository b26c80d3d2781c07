//! Why a command about nodes failed.

use program::exit::ExitClass;
use program::token::RandomnessError;

use crate::exchange;
use crate::manifest_request::error::Error as ShownRequestError;

/// Nothing came of it, or not everything was printed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused or could not be reached, or the output can't be written.
    #[error(transparent)]
    Exchange(exchange::Error),
    /// The words make no sense together.
    #[error("{0}")]
    Usage(String),
    /// What was shown was not sent.
    #[error(transparent)]
    Shown(Box<ShownRequestError>),
    /// The system gives no random bytes.
    #[error(transparent)]
    Randomness(RandomnessError),
}

impl<E: Into<exchange::Error>> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Exchange(error.into())
    }
}

impl Error {
    /// The class of the failure.
    #[must_use]
    pub fn exit_class(&self) -> ExitClass {
        match self {
            Self::Exchange(error) => error.exit_class(),
            Self::Usage(_) => ExitClass::Usage,
            Self::Shown(error) => error.exit_class(),
            Self::Randomness(_) => ExitClass::Refused,
        }
    }
}
