//! Why there is no export.

use std::path::PathBuf;

use program::exit::ExitClass;
use program::output::StdoutError;
use replay::file::writer::TooLarge;
use schema::position::Position;

use crate::backend;

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// PostgreSQL did not do its part.
    #[error(transparent)]
    Backend(backend::Error),
    /// The file can't be written.
    #[error("{0}")]
    File(PathBuf, #[source] std::io::Error),
    /// There is such a file.
    #[error("{0} is there already: exports are not overwritten")]
    There(PathBuf),
    /// The part would begin within a request.
    #[error("position {from} is within a request that begins at {first}: an export begins with a request")]
    Within {
        /// Where it would begin.
        from: Position,
        /// Where the request does.
        first: Position,
    },
    /// There is nothing of this part.
    #[error("the log ends at {head}, so there is nothing from {from} to {to}")]
    Nothing {
        /// Where it would begin.
        from: Position,
        /// Where it would end.
        to: Position,
        /// Where the log does.
        head: Position,
    },
    /// Something is larger than what an export can hold.
    #[error("an event or a content at or before position {position} can't be exported")]
    TooLarge {
        /// Where.
        position: Position,
        /// How large.
        source: TooLarge,
    },
    /// Standard output can't be written; the file is there.
    #[error(transparent)]
    Output(StdoutError),
}

impl<E: Into<backend::Error>> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Backend(error.into())
    }
}

impl Error {
    /// How it counts.
    #[must_use]
    pub fn exit_class(&self) -> ExitClass {
        match self {
            Self::Backend(error) => error.exit_class(),
            Self::There(_) | Self::Within { .. } | Self::Nothing { .. } => ExitClass::Usage,
            Self::File(..) | Self::Output(_) => ExitClass::Unreachable,
            Self::TooLarge { .. } => ExitClass::Refused,
        }
    }
}
