//! What can keep `headwater dev` from running.

use super::door::DoorError;

/// What can keep `headwater dev` from running.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine did not do its part.
    #[error(transparent)]
    Lab(#[from] crate::Error),
    /// The door did not do its part.
    #[error(transparent)]
    Door(#[from] DoorError),
    /// The door can't be asked.
    #[error(transparent)]
    Client(#[from] client::error::Error),
    /// A token that is kept in the folder is damaged.
    #[error("a token in the folder's secrets/ is damaged: {0}")]
    Token(#[from] client::endpoint::TokenFormatError),
    /// This program's own path, or the folder it was started in, is unknown.
    #[error("this program can't tell its own path and folder, to start its children with")]
    NoProgram(#[source] std::io::Error),
    /// An admin is installed whose token is not in the folder.
    #[error("the log has an admin, and secrets/admin.token is gone from the folder: remove the folder to start anew")]
    NoAdmin,
    /// Signals can't be listened to.
    #[error("signals can't be listened to")]
    NoSignals(#[source] std::io::Error),
    /// It was asked to end before everything was there; what had been started has been stopped.
    #[error("asked to end before everything was there")]
    Interrupted,
    /// Where everything is can't be told; what had been started has been stopped.
    #[error(transparent)]
    Output(program::output::StdoutError),
}

impl Error {
    /// The stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Lab(error) => error.code(),
            Self::Door(_) | Self::Client(_) => "door",
            Self::Token(_) => "bad_token",
            Self::NoProgram(_) => "no_program",
            Self::NoAdmin => "no_admin",
            Self::NoSignals(_) => "no_signals",
            Self::Interrupted => "interrupted",
            Self::Output(_) => "output",
        }
    }
}
