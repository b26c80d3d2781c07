//! Why an import failed. The error tells whether something was written before.

use program::output::StdoutError;

use crate::error::Error as ClientError;
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
    /// The server refused or could not be reached, before anything was written.
    #[error(transparent)]
    Server(#[from] ClientError),
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
    /// Standard output can't be written, after everything was done.
    #[error(transparent)]
    Output(#[from] StdoutError),
}

impl Error {
    /// Whether the server could not be reached or the output not written. If not, a file or a request was refused.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Server(error) | Self::Halfway { source: error, .. } => error.is_unreachable(),
            Self::Output(_) => true,
            Self::Unreadable { .. } | Self::Refused { .. } | Self::IdTaken { .. } => false,
        }
    }
}
