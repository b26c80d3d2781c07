//! Options of every command: the files, the trusted key and the output format.

use std::path::PathBuf;
use std::str::FromStr;

use replay::audit::Audit;
use schema::seal::PublicKey;

use super::output::RunError;

/// The files of a log, the trusted key, and how to print.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// The exports of a log, in their order.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) how: AuditOptions,
}

/// The trusted key and checkpoints, and how to print.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct AuditOptions {
    /// The public key that the log must be signed with: 64 hex digits, as `GET /v1/log` shows it. Without it only the
    /// consistency of the files is verified, whoever wrote them.
    #[arg(long, env = "HEADWATER_TRUST", value_name = "KEY")]
    pub(crate) trust: Option<PublicKeyArg>,

    /// A file with a checkpoint that you got elsewhere, such as an earlier answer of `GET /v1/log/checkpoint`: the log must agree
    /// with it, and be no shorter. May be given several times.
    #[arg(long, value_name = "NOTE")]
    pub(crate) checkpoint: Vec<PathBuf>,

    /// With --trust: accept a log whose last events no checkpoint covers yet, although anybody could have written them.
    #[arg(long, requires = "trust")]
    pub(crate) allow_unsigned: bool,

    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

impl AuditOptions {
    /// An audit that trusts the key and the checkpoints.
    pub(crate) fn audit(&self) -> Result<Audit, RunError> {
        let mut audit = Audit::new(self.trust.clone().map(|key| key.0));
        if self.allow_unsigned {
            audit = audit.allowing_an_unsigned_end();
        }
        for path in &self.checkpoint {
            let text = std::fs::read_to_string(path);
            let text =
                text.map_err(|error| RunError::Unreachable(format!("{} can't be read: {error}", path.display())))?;
            // As the server shows it, or the note alone.
            let shown = serde_json::from_str::<serde_json::Value>(&text).ok();
            let note = shown.and_then(|shown| shown["note"].as_str().map(str::to_owned)).unwrap_or(text);
            audit = audit.with_known_checkpoint(note);
        }
        Ok(audit)
    }
}

/// A public key in hex.
#[derive(Clone, Debug)]
pub(crate) struct PublicKeyArg(PublicKey);

impl FromStr for PublicKeyArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| "a public key is 64 hex digits".to_owned())?;
        PublicKey::from_bytes(&bytes).map(Self).map_err(|invalid| invalid.to_string())
    }
}
