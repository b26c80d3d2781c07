//! A question that a person answers on a terminal before something is done.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use program::exit::ExitClass;
use schema::terminal;

/// There is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    /// Nobody is there who could answer.
    #[error("this asks before it does anything, and there is no terminal: say --yes")]
    NoTerminal,
    /// The terminal can't be read or written.
    #[error("the terminal can't be used")]
    Terminal(#[from] io::Error),
}

impl ConfirmError {
    /// The class of the exit code.
    #[must_use]
    pub fn exit_class(&self) -> ExitClass {
        match self {
            Self::NoTerminal => ExitClass::Usage,
            Self::Terminal(_) => ExitClass::Unreachable,
        }
    }
}

/// Asks on standard error and reads the answer from standard input; `yes` answers without asking. Only `y` and `yes` say yes.
///
/// # Errors
/// If standard input or standard error is no terminal, or can't be used.
pub fn confirm(question: &str, yes: bool) -> Result<bool, ConfirmError> {
    if yes {
        return Ok(true);
    }
    let (stdin, mut stderr) = (io::stdin(), io::stderr());
    if !stdin.is_terminal() || !stderr.is_terminal() {
        return Err(ConfirmError::NoTerminal);
    }
    write!(stderr, "{} [y/N] ", terminal::lines(question))?;
    stderr.flush()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for (answer, expected) in [
            ("y\n", true),
            ("YES\r\n", true),
            (" yes ", true),
            ("", false),
            ("\n", false),
            ("n\n", false),
            ("yess\n", false),
        ] {
            assert_eq!(is_yes(answer), expected, "{answer:?}");
        }
    }
}
