//! Errors of `headwater export`.

use std::path::PathBuf;

use program::output::StdoutError;
use replay::file::writer::BlockTooLargeError;
use schema::position::Position;

use crate::backend;

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// PostgreSQL refused, or could not be reached.
    #[error(transparent)]
    Backend(backend::Error),
    /// The file can't be written.
    #[error("{0}")]
    File(PathBuf, #[source] std::io::Error),
    /// The file exists.
    #[error("{0} is there already: exports are not overwritten")]
    Exists(PathBuf),
    /// The export would begin within a request.
    #[error("position {from} is within a request that begins at {first}: an export begins with a request")]
    WithinRequest {
        /// The first position that was asked for.
        from: Position,
        /// The first position of the request.
        first: Position,
    },
    /// The log has no events there.
    #[error("the log ends at {head}, so there is nothing from {from} to {to}")]
    EmptyRange {
        /// The first position that was asked for.
        from: Position,
        /// The last position that was asked for.
        to: Position,
        /// The last position of the log.
        head: Position,
    },
    /// An event or a content is larger than an export can hold.
    #[error("an event or a content at or before position {position} can't be exported")]
    TooLarge {
        /// The position of the event; for a content, that of the first event that was read together with the one that names it.
        position: Position,
        /// The size and the limit.
        source: BlockTooLargeError,
    },
    /// Standard output can't be written; the file is there.
    #[error(transparent)]
    Output(StdoutError),
}

backend::command_error!(
    Error,
    Usage: Self::Exists(_) | Self::WithinRequest { .. } | Self::EmptyRange { .. },
    Unreachable: Self::File(..) | Self::Output(_),
);
