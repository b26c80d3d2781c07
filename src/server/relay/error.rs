//! Why the relay has to begin anew, and whether what it folded can still be trusted then.

use replay::again::Difference;
use replay::log::Divergence;
use store::database::Error as LogError;
use wal::Error as WalError;

use crate::publish::Error as PublishError;

use super::checkpoint_signer::Error as VouchError;
use super::log_check::Error as CheckError;

/// Why the relay has to begin anew.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Wal(#[from] WalError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("the write-ahead log diverges {0}")]
    Diverged(#[from] Divergence),
    #[error("{error}{}", first.as_ref().map(|first| format!(" ({first})")).unwrap_or_default())]
    Unvouched {
        error: VouchError,
        /// The first event that is another one, if that can be told.
        first: Option<Difference>,
    },
    #[error(transparent)]
    Found(CheckError),
}

impl Error {
    /// Whether it speaks against what was read or folded, rather than saying that something can't be reached. What was folded
    /// is then as little to be trusted as what was read.
    pub(super) fn is_about_content(&self) -> bool {
        use LogError::{Beyond, Diverged, OtherRoot, Row, WentBack};
        match self {
            Self::Log(error) => {
                matches!(error, Beyond { .. } | Diverged(_) | OtherRoot { .. } | Row { .. } | WentBack { .. })
            }
            Self::Diverged(_) | Self::Unvouched { .. } | Self::Found(_) => true,
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

impl From<VouchError> for Error {
    fn from(error: VouchError) -> Self {
        match error {
            VouchError::Log(error) => Self::Log(error),
            VouchError::Publish(error) => Self::Publish(error),
            error => Self::Unvouched { error, first: None },
        }
    }
}
