//! Errors of PostgreSQL, NATS, TLS and the signing key, and the exit code of each; and how a command adds its own.

use bus::bus_folder::BusFolderError;
use bus::connect::AddressError;
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
            _ => ExitClass::Refused,
        }
    }
}

/// Gives a command's error, which has a variant `Backend`, the conversion from what [`Error`] is made of, and its exit class: that of
/// the backend's error, those that are listed here, or else `Refused`.
macro_rules! command_error {
    ($error:ident $(, $class:ident: $variants:pat)* $(,)?) => {
        impl<E: Into<$crate::backend::Error>> From<E> for $error {
            fn from(error: E) -> Self {
                Self::Backend(error.into())
            }
        }

        impl $error {
            /// The class of the exit code.
            #[must_use]
            pub fn exit_class(&self) -> ::program::exit::ExitClass {
                match self {
                    Self::Backend(error) => error.exit_class(),
                    $($variants => ::program::exit::ExitClass::$class,)*
                    _ => ::program::exit::ExitClass::Refused,
                }
            }
        }
    };
}

pub(crate) use command_error;
