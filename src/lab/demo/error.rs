//! Errors of `headwater demo`.

use std::path::PathBuf;

use client::endpoint::{ServerUrlError, TokenFormatError};
use client::error::Error as ClientError;
use program::output::StdoutError;

use crate::dev;

use super::fleet::Error as FleetError;
use super::folder::Error as FolderError;

/// The demo can't run, or not all of its claims hold.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The examples can't be read.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// The folder can't be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The processes can't be started.
    #[error(transparent)]
    Dev(#[from] dev::Error),
    /// The server refused a request, or can't be reached.
    #[error("the demo could not go on")]
    Api(#[from] ClientError),
    /// The server's URL in `dev.json` is malformed.
    #[error("the server's URL can't be used")]
    Url(#[from] ServerUrlError),
    /// The token in `dev.json` is malformed.
    #[error("the admin's token can't be used")]
    Token(#[from] TokenFormatError),
    /// `headwater import` can't be started.
    #[error("`headwater import` could not be started")]
    Import(#[source] std::io::Error),
    /// `headwater import` failed.
    #[error("`headwater import` failed: {0}")]
    Imported(String),
    /// `headwater edge propose` can't be started, or its file can't be written.
    #[error("`headwater edge propose` could not be started")]
    Propose(#[source] std::io::Error),
    /// `headwater edge propose` failed.
    #[error("`headwater edge propose` failed: {0}")]
    Proposed(String),
    /// A request changed nothing.
    #[error("a request that should have changed something changed nothing")]
    NothingChanged,
    /// Standard output can't be written.
    #[error(transparent)]
    Output(#[from] StdoutError),
    /// Asked to stop before the end.
    #[error("asked to end before it was through")]
    Interrupted,
    /// It ran to the end, and some claims do not hold.
    #[error("{untrue} of what the demo claims did not come true; the logs are in {}", .logs.display())]
    Untrue {
        /// Number of claims that do not hold.
        untrue: usize,
        /// The folder with the logs.
        logs: PathBuf,
    },
}

impl Error {
    /// Whether standard output can't be written.
    #[must_use]
    pub fn is_output(&self) -> bool {
        matches!(self, Self::Output(_) | Self::Dev(dev::Error::Output(_)))
    }
}
