//! One context: a server, its log, and where the token for it comes from.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use program::secret_file;
use schema::id::{Id, LogId};
use serde::{Deserialize, Serialize};

use super::context_error::ContextError;
use crate::endpoint::BearerToken;

/// A server under a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerContext {
    pub(crate) url: String,
    /// The log that the server had when the context was added.
    pub(crate) log_id: LogId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<TokenSource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
    #[serde(default)]
    pub(crate) plain: bool,
}

/// Where a token comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TokenSource {
    /// A file that only its owner may read.
    File(PathBuf),
    /// A command for `sh`, whose output is the token. It may ask on the terminal.
    Command(String),
}

impl TokenSource {
    /// The token as it is now.
    ///
    /// # Errors
    /// If the file can't be read, others may read it, the command fails, or what it gives is no token.
    pub(crate) fn token(&self, name: &Id) -> Result<BearerToken, ContextError> {
        let failed = |why: String| ContextError::Token { name: name.clone(), why };
        let text = match self {
            Self::File(path) => secret_file::read(path).map_err(|error| failed(error.to_string())),
            Self::Command(command) => output_of(command).map_err(failed),
        }?;
        text.parse().map_err(|error| failed(format!("{error}")))
    }
}

/// What a command prints, without the white space around it. Nothing of it is ever shown.
fn output_of(command: &str) -> Result<String, String> {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).stdin(Stdio::inherit()).stderr(Stdio::inherit());
    let ended = shell.output().map_err(|error| format!("`{command}` can't be started: {error}"))?;
    if !ended.status.success() {
        return Err(format!("`{command}` ended with {}", ended.status));
    }
    let text = String::from_utf8(ended.stdout).map_err(|_| format!("`{command}` printed no text"))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(source: &TokenSource) -> Result<BearerToken, String> {
        source.token(&"lund".parse().expect("a name")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_command_gives_the_token_or_says_why_not_without_showing_what_it_printed() {
        let command = |text: &str| token(&TokenSource::Command(text.to_owned()));
        assert_eq!(command("printf 'hw_a\\n'"), Ok("hw_a".parse().expect("a token")));
        for (text, why) in [
            ("echo hw_secret; exit 3", "exit status: 3"),
            ("true", "visible ASCII"),
            ("echo hw_secret hw_secret", "visible ASCII"),
            ("printf 'hw_secret\\377'", "printed no text"),
        ] {
            let refused = command(text).expect_err(text);
            assert!(refused.contains(why) && refused.starts_with("context lund gives no token: "), "{refused}");
            assert!(!refused.replace(text, "").contains("hw_secret"), "{refused}");
        }
    }
}
