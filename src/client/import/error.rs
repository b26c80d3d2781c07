//! Why nothing, or not all, came of an import.
//!
//! Always: whether something was written before it failed can be told from it.

use program::output::StdoutError;

use crate::error::Error as ClientError;
use crate::oscal::fault::Fault;

/// Why nothing, or not all, came of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file can't be opened.
    #[error("{file} can't be read")]
    Unreadable {
        /// Which.
        file: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A file can't be understood, or contradicts another.
    #[error("{file} is refused, and nothing was written ({code})", code = source.code())]
    Refused {
        /// Which.
        file: String,
        /// Why.
        source: Fault,
    },
    /// The door has another thing under the id.
    #[error(
        "{place}: {kind} `{id}` is at the door already as OSCAL's `{there}`, not `{here}`; nothing was written (id_clash)"
    )]
    Taken {
        /// Where in which file.
        place: String,
        /// What sort of thing.
        kind: &'static str,
        /// The id.
        id: String,
        /// What the door's is called in OSCAL.
        there: String,
        /// What the file's is.
        here: String,
    },
    /// The door said no, or was not there, before anything was written.
    #[error(transparent)]
    Door(#[from] ClientError),
    /// The same after some of it was.
    #[error("after {done} of {total} requests, which stay")]
    Halfway {
        /// So many were accepted.
        done: usize,
        /// Of so many.
        total: usize,
        /// What came of the next.
        source: ClientError,
    },
    /// Standard output can't be written; what was to be done is done.
    #[error(transparent)]
    Output(#[from] StdoutError),
}

impl Error {
    /// Whether something could not be reached or written, rather than being refused.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Door(error) | Self::Halfway { source: error, .. } => error.is_unreachable(),
            Self::Output(_) => true,
            Self::Unreadable { .. } | Self::Refused { .. } | Self::Taken { .. } => false,
        }
    }
}
