//! Why the relay gives up the slot or resyncs NATS, and whether what it folded can still be trusted then.

use replay::log::DivergenceError;
use replay::reverify::ReverifyError;
use store::database::Error as LogError;

use crate::backend::Error as BackendError;
use crate::continuity::ContinuityError;

use super::log_check::Error as CheckError;

/// Why a step of the relay failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Backend(BackendError),
    #[error("the write-ahead log diverges {0}")]
    Diverged(#[from] DivergenceError),
    /// The log does not go on from what was signed, or from what a node proves.
    #[error("{error}{}", first.as_ref().map(|first| format!(" ({first})")).unwrap_or_default())]
    Unsignable {
        error: ContinuityError,
        /// The first event that was changed, if that can be told.
        first: Option<ReverifyError>,
    },
    #[error(transparent)]
    Found(CheckError),
}

impl Error {
    /// Whether the log itself is wrong, rather than unreachable. What was folded from it is then as little to be trusted as what
    /// was read.
    pub(super) fn is_about_content(&self) -> bool {
        use LogError::{Beyond, Diverged, OtherRoot, Row, WentBack};
        match self {
            Self::Backend(BackendError::Log(error)) => {
                matches!(error, Beyond { .. } | Diverged(_) | OtherRoot { .. } | Row { .. } | WentBack { .. })
            }
            Self::Backend(_) => false,
            Self::Diverged(_) | Self::Unsignable { .. } | Self::Found(_) => true,
        }
    }
}

impl<E: Into<BackendError>> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Backend(error.into())
    }
}

impl From<CheckError> for Error {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Log(error) => error.into(),
            CheckError::Publish(error) => error.into(),
            found => Self::Found(found),
        }
    }
}

impl From<ContinuityError> for Error {
    fn from(error: ContinuityError) -> Self {
        match error {
            ContinuityError::Log(error) => error.into(),
            ContinuityError::Publish(error) => error.into(),
            error => Self::Unsignable { error, first: None },
        }
    }
}
