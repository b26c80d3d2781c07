//! Errors of `headwater dev`.

use client::endpoint::ServerUrlError;
use program::exit::ExitClass;
use tls::plain::PlainRefusal;

use super::api_requests::DevRequestError;

/// `headwater dev` can't start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A process, file or server failed.
    #[error(transparent)]
    Lab(#[from] crate::Error),
    /// The server refused a request of `dev`.
    #[error(transparent)]
    Api(#[from] DevRequestError),
    /// The server can't be reached.
    #[error(transparent)]
    Client(#[from] client::error::Error),
    /// A token file in the folder is damaged.
    #[error("a token in the folder's secrets/ is damaged: {0}")]
    Token(#[from] client::endpoint::TokenFormatError),
    /// The path of this program or its working folder is unknown.
    #[error("this program can't tell its own path and folder, to start its children with")]
    NoProgram(#[source] std::io::Error),
    /// The HTTP API would be plain for other machines.
    #[error(transparent)]
    Plain(#[from] PlainRefusal),
    /// The URL of the server is none.
    #[error(transparent)]
    Url(#[from] ServerUrlError),
    /// The log has an administrator whose token file is missing.
    #[error("the log has an admin, and secrets/admin.token is gone from the folder: remove the folder to start anew")]
    NoAdmin,
    /// Signal handlers can't be installed.
    #[error("signals can't be listened to")]
    NoSignals(#[source] std::io::Error),
    /// Asked to stop during the start; all that was started has been stopped.
    #[error("asked to end before everything was there")]
    Interrupted,
    /// The addresses can't be printed; all that was started has been stopped.
    #[error(transparent)]
    Output(program::output::StdoutError),
}

impl Error {
    /// The class of the exit code.
    pub fn exit_class(&self) -> ExitClass {
        match self {
            Self::Plain(_) => ExitClass::Usage,
            Self::Output(_) => ExitClass::Unreachable,
            _ => ExitClass::Refused,
        }
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Lab(error) => error.code(),
            Self::Api(_) | Self::Client(_) => "door",
            Self::Token(_) => "bad_token",
            Self::NoProgram(_) => "no_program",
            Self::Plain(_) => "plain_url",
            Self::Url(_) => "bad_url",
            Self::NoAdmin => "no_admin",
            Self::NoSignals(_) => "no_signals",
            Self::Interrupted => "interrupted",
            Self::Output(_) => "output",
        }
    }
}
