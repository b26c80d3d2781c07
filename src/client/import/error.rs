//! Why an import failed. The error tells whether something was written before.

use program::exit::ExitClass;

use crate::error::Error as ClientError;
use crate::get::Error as ExchangeError;
use crate::oscal::error::OscalError;

/// Why an import failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file can't be read.
    #[error("{file} can't be read")]
    Unreadable {
        /// The file.
        file: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A file is not valid OSCAL, or contradicts another.
    #[error("{file} is refused, and nothing was written ({code})", code = source.code())]
    Refused {
        /// The file.
        file: String,
        /// Why.
        source: OscalError,
    },
    /// The server has a definition of something else under the id.
    #[error(
        "{place}: {kind} `{id}` is on the server already as OSCAL's `{there}`, not `{here}`; nothing was written (id_clash)"
    )]
    IdTaken {
        /// Where in which file.
        place: String,
        /// The kind of definition.
        kind: &'static str,
        /// The id.
        id: String,
        /// The OSCAL id of the definition on the server.
        there: String,
        /// The OSCAL id of the definition in the file.
        here: String,
    },
    /// The server refused or could not be reached, before anything was written; or standard output can't be written, after
    /// everything was done.
    #[error(transparent)]
    Exchange(ExchangeError),
    /// The server refused or could not be reached, after some requests were appended.
    #[error("after {done} of {total} requests, which stay")]
    Halfway {
        /// Requests that were appended.
        done: usize,
        /// Requests in all.
        total: usize,
        /// Why the next one failed.
        source: ClientError,
    },
}

impl<E: Into<ExchangeError>> From<E> for Error {
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
            Self::Halfway { source, .. } => source.exit_class(),
            Self::Unreadable { .. } | Self::Refused { .. } | Self::IdTaken { .. } => ExitClass::Refused,
        }
    }
}
