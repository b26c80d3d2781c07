//! Why a demo did not come to a good end.

use std::path::PathBuf;

use client::endpoint::{ServerUrlError, TokenFormatError};
use client::error::Error as ClientError;
use program::output::StdoutError;

use crate::dev;

use super::fleet::Error as FleetError;
use super::folder::Error as FolderError;

/// Why it did not come to a good end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no fleet to put.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// There is no folder to do it in.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// It could not be started.
    #[error(transparent)]
    Dev(#[from] dev::Error),
    /// The door did not do what was asked.
    #[error("the demo could not go on")]
    Door(#[from] ClientError),
    /// `dev` said where the door is, and it can't be.
    #[error("the door's URL can't be used")]
    Url(#[from] ServerUrlError),
    /// `dev` said what to enter with, and it can't be.
    #[error("the admin's token can't be used")]
    Token(#[from] TokenFormatError),
    /// The import can't be started.
    #[error("`headwater import` could not be started")]
    Import(#[source] std::io::Error),
    /// The import failed.
    #[error("`headwater import` failed: {0}")]
    Imported(String),
    /// A request that should change something did not.
    #[error("a request that should have changed something changed nothing")]
    NothingChanged,
    /// It can't be shown.
    #[error(transparent)]
    Output(#[from] StdoutError),
    /// Somebody wanted it to end.
    #[error("asked to end before it was through")]
    Interrupted,
    /// It went through, and not all of it came true.
    #[error("{untrue} of what the demo claims did not come true; the logs are in {}", .logs.display())]
    Untrue {
        /// How many claims.
        untrue: usize,
        /// Where to find out why.
        logs: PathBuf,
    },
}

impl Error {
    /// Whether it could not be shown.
    #[must_use]
    pub fn is_output(&self) -> bool {
        matches!(self, Self::Output(_) | Self::Dev(dev::Error::Output(_)))
    }
}
