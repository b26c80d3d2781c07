//! Why the relay gives up the slot or resyncs NATS, and whether what it folded can still be trusted then.

use replay::log::DivergenceError;
use replay::reverify::ReverifyError;
use store::database::Error as LogError;
use wal::Error as WalError;

use crate::continuity::ContinuityError;
use crate::publish::Error as PublishError;

use super::log_check::Error as CheckError;

/// Why a step of the relay failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Wal(#[from] WalError),
    #[error(transparent)]
    Publish(#[from] PublishError),
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
            Self::Log(error) => {
                matches!(error, Beyond { .. } | Diverged(_) | OtherRoot { .. } | Row { .. } | WentBack { .. })
            }
            Self::Diverged(_) | Self::Unsignable { .. } | Self::Found(_) => true,
            Self::Publish(_) | Self::Wal(_) => false,
        }
    }
}

impl From<CheckError> for Error {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Log(error) => Self::Log(error),
            CheckError::Publish(error) => Self::Publish(error),
            found => Self::Found(found),
        }
    }
}

impl From<ContinuityError> for Error {
    fn from(error: ContinuityError) -> Self {
        match error {
            ContinuityError::Log(error) => Self::Log(error),
            ContinuityError::Publish(error) => Self::Publish(error),
            error => Self::Unsignable { error, first: None },
        }
    }
}
