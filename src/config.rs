//! Settings that several programs share: flags, or `HEADWATER_*` variables where a secret must not stand in a command line.

use std::path::PathBuf;

use schema::address::Prefix;

use crate::password;

/// Where NATS is, and what Headwater's names in it look like.
#[derive(Clone, Debug, clap::Args)]
pub struct Nats {
    /// Where NATS is: nats://user:password@host:port, several separated by commas.
    #[arg(long, env = "HEADWATER_NATS_URL", value_name = "URL", hide_env_values = true)]
    pub nats_url: String,

    /// A file with the password for that URL, which then is nats://user@host:port.
    #[arg(long, env = "HEADWATER_NATS_PASSWORD_FILE", value_name = "FILE")]
    pub nats_password_file: Option<PathBuf>,

    /// What all names in NATS begin with. Two logs that share a NATS need two prefixes.
    #[arg(long, env = "HEADWATER_NATS_PREFIX", value_name = "PREFIX", default_value = "cfg")]
    pub nats_prefix: Prefix,

    /// How many servers of a NATS cluster keep each stream. Used when a stream is made.
    #[arg(long, env = "HEADWATER_NATS_REPLICAS", value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u8).range(1..=5))]
    pub nats_replicas: u8,
}

impl Nats {
    /// The URL with its password.
    ///
    /// # Errors
    /// If the password's file is of no use.
    pub fn url(&self) -> Result<String, password::Error> {
        password::fill(&self.nats_url, self.nats_password_file.as_deref())
    }
}

/// What desired records are signed with.
#[derive(Clone, Debug, clap::Args)]
pub struct Key {
    /// The file with the Ed25519 key that desired records are signed with: 64 hex digits, mode 600. `headwater install`
    /// makes it if there is none; every server of one log needs the same.
    #[arg(long, env = "HEADWATER_SIGNING_KEY_FILE", value_name = "FILE")]
    pub signing_key_file: PathBuf,
}
