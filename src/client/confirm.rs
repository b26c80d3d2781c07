//! Asks a person before something is changed.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use program::exit::ExitClass;
use schema::terminal;

use crate::api_client::ApiClient;

/// Whether to ask.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[group(skip)]
pub(crate) struct ConfirmOption {
    /// Don't ask before it is sent.
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Why it goes no further.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    /// There is nobody to ask.
    #[error("nothing was sent: there is no terminal to ask on; give --yes, or look at it first with `headwater plan`")]
    NoTerminal,
    /// The person said no.
    #[error("nothing was sent")]
    Declined,
}

impl ConfirmError {
    /// The class of the failure.
    #[must_use]
    pub fn exit_class(&self) -> ExitClass {
        match self {
            Self::NoTerminal => ExitClass::Usage,
            Self::Declined => ExitClass::Refused,
        }
    }
}

impl ConfirmOption {
    /// Asks whether to do it on the server of `client`, unless that was said before.
    ///
    /// # Errors
    /// If the answer is no, or there is no terminal.
    pub(crate) fn ask(self, question: &str, client: &ApiClient, log_id: &str) -> Result<(), ConfirmError> {
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Err(ConfirmError::NoTerminal);
        }
        let place = terminal::line(&format!("{} (log {log_id})", client.url()));
        let _ignored = write!(io::stderr(), "{question} at {place}? [y/N] ");
        let _ignored = io::stderr().flush();
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        match read.is_ok() && is_yes(&answer) {
            true => Ok(()),
            false => Err(ConfirmError::Declined),
        }
    }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        assert!(["y\n", "Yes\r\n", " Y "].iter().all(|answer| is_yes(answer)));
        assert!(["", "\n", "n\n", "yep\n", "yes please\n"].iter().all(|answer| !is_yes(answer)));
    }
}
