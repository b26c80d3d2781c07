//! What an order hears from PostgreSQL and NATS, the ground that each of them stands on, or what keeps it from asking them.
//!
//! How each answer counts is said here, once for all orders. Absent on purpose: what an order finds wrong by itself.

use crate::log::database::Error as LogError;
use crate::nats::connect::BadAddress;
use crate::password;
use crate::publish::Error as PublishError;
use crate::wal::Error as WalError;

/// How a failure counts, which is what the exit code says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was refused, or something is wrong.
    Refused,
    /// What the order was told makes no sense.
    Usage,
    /// Something could not be reached.
    Unreachable,
}

/// Why PostgreSQL or NATS did not do its part.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log can't be read or written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The slot can't be made or used.
    #[error(transparent)]
    Wal(#[from] WalError),
    /// NATS refused, or the signing key can't be used.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// NATS has no such address.
    #[error(transparent)]
    Nats(#[from] BadAddress),
    /// A password can't be read.
    #[error(transparent)]
    Password(#[from] password::Error),
}

impl Error {
    /// How it counts.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Log(LogError::Address(_)) | Self::Wal(WalError::Address(_)) => Verdict::Usage,
            Self::Nats(_) | Self::Password(_) => Verdict::Usage,
            Self::Log(error) if error.is_transient() => Verdict::Unreachable,
            Self::Wal(error) if error.is_unreachable() => Verdict::Unreachable,
            Self::Publish(error) if error.is_transient() => Verdict::Unreachable,
            _ => Verdict::Refused,
        }
    }
}
