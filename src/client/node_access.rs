//! What the commands about nodes' access to NATS have in common.

use std::path::PathBuf;

use clap::Args;
use program::output;
use serde_json::{Value, json};
use tls::plain::PlainRefusal;

use crate::api_client::{ApiClient, CommandRequest};
use crate::endpoint::Options as Endpoint;
use crate::exchange;

#[derive(Clone, Debug, Args)]
pub(crate) struct Common {
    #[command(flatten)]
    pub(crate) endpoint: Endpoint,

    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Why such a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused or could not be reached, or the output can't be written.
    #[error(transparent)]
    Exchange(exchange::Error),
    /// The system gives no random bytes.
    #[error("the machine gives no random bytes")]
    NoRandomness,
    /// The server's answer can't be used.
    #[error("the server's answer can't be used: {0}")]
    Answer(&'static str),
    /// The certificates can't be read.
    #[error("can't read {}", .0.display())]
    CaFile(PathBuf, #[source] std::io::Error),
    /// Nodes don't get a password.
    #[error("--nats-url has a user in it: a token needs only where NATS is, such as tls://host:port")]
    Credentials,
    /// Nodes would not find NATS there.
    #[error(
        "--nats-url: `{0}` is no address of NATS: tls://host:port, or nats://host:port, several separated by commas"
    )]
    NatsUrl(String),
    /// Nodes would refuse to connect there.
    #[error(transparent)]
    PlainNats(PlainRefusal),
}

program::command_error!(
    Error,
    Exchange(exchange::Error),
    Usage: Self::Credentials | Self::NatsUrl(_) | Self::PlainNats(_),
);

impl Common {
    /// Sends one command, and says what came of it.
    pub(crate) async fn send(&self, command: Value, reason: Option<String>, done: &str) -> Result<(), Error> {
        let request = CommandRequest { reason, now: false, commands: vec![command], key: None };
        let answer = ApiClient::from_options(&self.endpoint)?.send_commands(&request).await?;
        output::warn(&answer.warnings);
        let changed = !answer.events.is_empty();
        match (self.json, changed) {
            (true, _) => output::json(&json!({"position": answer.position, "changed": changed}).to_string()),
            (false, true) => output::text(done),
            (false, false) => output::text("That was so before; nothing was changed.\n"),
        }?;
        Ok(())
    }
}
