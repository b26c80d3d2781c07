//! Why `wait` did not end well.

use crate::exchange;

/// The nodes are not what was waited for, or it is not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused or could not be reached, or the output can't be written.
    #[error(transparent)]
    Exchange(exchange::Error),
    /// A node failed, refused, or is offline and must not be.
    #[error("{0}")]
    NotConverged(String),
    /// The time is up.
    #[error("{0}")]
    TimedOut(String),
}

program::command_error!(Error, Exchange(exchange::Error), Unreachable: Self::TimedOut(_));
