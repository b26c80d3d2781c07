//! Why nothing was compared.

use program::exit::ExitClass;

use crate::exchange;

/// Nothing was compared, or not everything was printed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused or could not be reached, or the output can't be written.
    #[error(transparent)]
    Exchange(exchange::Error),
    /// The options do not go together.
    #[error("{0}")]
    Usage(String),
}

impl<E: Into<exchange::Error>> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Exchange(error.into())
    }
}

impl Error {
    /// The class of the exit code. 1 is kept for a difference.
    #[must_use]
    pub fn exit_class(&self) -> ExitClass {
        match self {
            Self::Usage(_) => ExitClass::Usage,
            Self::Exchange(error) => match error.exit_class() {
                ExitClass::Refused => ExitClass::ComparisonRefused,
                other => other,
            },
        }
    }
}
