//! What an order hears from PostgreSQL and NATS, the ground that each of them stands on, or what keeps it from asking them.
//!
//! How each answer counts is said here, once for all orders. Absent on purpose: what an order finds wrong by itself.

use bus::connect::AddressError;
use program::exit::ExitClass;
use program::password;
use store::database::Error as LogError;
use wal::Error as WalError;

use crate::publish::Error as PublishError;

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
    Nats(#[from] AddressError),
    /// A password can't be read.
    #[error(transparent)]
    Password(#[from] password::Error),
}

impl Error {
    /// How it counts.
    #[must_use]
    pub fn exit_class(&self) -> ExitClass {
        match self {
            Self::Log(LogError::Address(_)) | Self::Wal(WalError::Address(_)) => ExitClass::Usage,
            Self::Nats(_) | Self::Password(_) => ExitClass::Usage,
            Self::Log(error) if error.is_transient() => ExitClass::Unreachable,
            Self::Wal(error) if error.is_unreachable() => ExitClass::Unreachable,
            Self::Publish(error) if error.is_transient() => ExitClass::Unreachable,
            _ => ExitClass::Refused,
        }
    }
}
