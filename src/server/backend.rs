//! Errors of PostgreSQL, NATS, TLS and the signing key, and the exit code of each; and how a command adds its own.

use std::time::Duration;

use bus::bus_folder::BusFolderError;
use bus::connect::{AddressError, Link, NatsAccess};
use bus::identity::SeedFileError;
use program::exit::ExitClass;
use program::password;
use store::database::Error as LogError;
use tls::error::Error as TlsError;
use tls::plain::PlainRefusal;
use wal::Error as WalError;

use crate::publish::Error as PublishError;

/// Why PostgreSQL or NATS can't be used.
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
    /// The URL of NATS is none.
    #[error(transparent)]
    Nats(#[from] AddressError),
    /// A password can't be read.
    #[error(transparent)]
    Password(#[from] password::Error),
    /// A certificate, a key or a CA can't be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An address of another machine is not protected by TLS.
    #[error(transparent)]
    Plain(#[from] PlainRefusal),
    /// The seed of a user of NATS can't be read.
    #[error(transparent)]
    Seed(#[from] SeedFileError),
    /// The folder of `headwater bus init` can't be used.
    #[error(transparent)]
    Bus(#[from] BusFolderError),
    /// NATS is there and does not let this program in.
    #[error("{0}")]
    NatsRefuses(String),
    /// NATS is not there.
    #[error("{0}")]
    NatsAway(String),
}

/// How often a connection that is not up is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a command that ends by itself waits for NATS.
pub(crate) const NATS_WITHIN: Duration = Duration::from_secs(10);

/// Waits until NATS is there, for a while.
///
/// # Errors
/// If it is not, or does not let this program in: with the reason and with what to do.
pub(crate) async fn nats_up(link: &Link) -> Result<(), Error> {
    let is_up = tokio::time::timeout(NATS_WITHIN, async {
        loop {
            tokio::select! {
                () = link.up() => return true,
                () = tokio::time::sleep(LOOK_EVERY) => if is_refused(link) { return false },
            }
        }
    });
    match is_up.await {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(why_no_nats(link).unwrap_or_else(|| Error::NatsAway(link.unreachable_reason()))),
    }
}

/// Why a call to NATS had no answer: what the connection says of it, if it is not up or NATS does not let this program in, or else the error.
pub(crate) fn nats_failed(link: &Link, error: PublishError) -> Error {
    why_no_nats(link).unwrap_or_else(|| error.into())
}

fn why_no_nats(link: &Link) -> Option<Error> {
    match (is_refused(link), link.is_up()) {
        (true, _) => Some(Error::NatsRefuses(link.unreachable_reason())),
        (false, false) => Some(Error::NatsAway(link.unreachable_reason())),
        (false, true) => None,
    }
}

fn is_refused(link: &Link) -> bool {
    matches!(link.access(), NatsAccess::Refused(..))
}

impl Error {
    /// The class of the exit code.
    #[must_use]
    pub fn exit_class(&self) -> ExitClass {
        match self {
            Self::Log(LogError::Address(_)) | Self::Wal(WalError::Address(_)) => ExitClass::Usage,
            Self::Nats(_) | Self::Password(_) | Self::Tls(_) | Self::Plain(_) => ExitClass::Usage,
            Self::Seed(_) | Self::Bus(_) => ExitClass::Usage,
            Self::Log(error) if error.is_transient() => ExitClass::Unreachable,
            Self::Wal(error) if error.is_unreachable() => ExitClass::Unreachable,
            Self::Publish(error) if error.is_transient() => ExitClass::Unreachable,
            Self::NatsAway(_) => ExitClass::Unreachable,
            _ => ExitClass::Refused,
        }
    }
}

/// `program::command_error!` for a command's error that has a variant `Backend`.
macro_rules! command_error {
    ($error:ident $($classes:tt)*) => {
        ::program::command_error!($error, Backend($crate::backend::Error) $($classes)*);
    };
}

pub(crate) use command_error;
