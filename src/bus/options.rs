//! The flags of every program that uses NATS, or `HEADWATER_*` variables where a secret must not stand in a command line.

use std::path::PathBuf;

use clap::Arg;
use program::password;
use schema::address::Prefix;
use tls::plain::PlainOption;

use crate::connect::{AddressError, Link, connect_with, without_password};
use crate::transport::{NatsTlsOptions, Transport};

/// Where NATS is, and the prefix of the names in it. A command whose user is not the server's operator has its own help.
#[derive(Clone, Debug, clap::Args)]
pub struct NatsOptions {
    /// Where NATS is: tls://user:password@host:port, several separated by commas; nats:// for this machine.
    #[arg(long, env = "HEADWATER_NATS_URL", value_name = "URL", hide_env_values = true)]
    pub nats_url: String,

    /// A file with the password for that URL, which then is tls://user@host:port.
    #[arg(long, env = "HEADWATER_NATS_PASSWORD_FILE", value_name = "FILE")]
    pub nats_password_file: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) nats_tls: NatsTlsOptions,

    /// What all names in NATS begin with. Two logs that share a NATS need two prefixes.
    #[arg(long, env = "HEADWATER_NATS_PREFIX", value_name = "PREFIX", default_value = "cfg")]
    pub nats_prefix: Prefix,
}

impl NatsOptions {
    /// The options of a command whose URL is optional.
    #[must_use]
    pub fn new(
        nats_url: String,
        nats_password_file: Option<PathBuf>,
        nats_tls: NatsTlsOptions,
        nats_prefix: Prefix,
    ) -> Self {
        Self { nats_url, nats_password_file, nats_tls, nats_prefix }
    }

    /// For `mut_args`: another help for the URL, the file and the prefix.
    pub fn with_help(url: &'static str, file: &'static str, prefix: &'static str) -> impl FnMut(Arg) -> Arg {
        move |arg| match arg.get_id().as_str() {
            "nats_url" => arg.help(url),
            "nats_password_file" => arg.help(file),
            "nats_prefix" => arg.help(prefix),
            _ => arg,
        }
    }

    /// The URL without user and password, for log lines.
    #[must_use]
    pub fn shown_url(&self) -> String {
        without_password(&self.nats_url)
    }

    /// Starts to connect as client `name`, and returns at once.
    ///
    /// # Errors
    /// If the URL is malformed, the password can't be read or has no place in the URL, the CA can't be used, or the URL leads to another
    /// machine without TLS and that is not allowed.
    pub async fn connect<E: From<AddressError> + From<password::Error>>(
        &self,
        plain: PlainOption,
        name: &str,
    ) -> Result<Link, E> {
        let file = self.nats_password_file.as_deref();
        let url = password::fill(&self.nats_url, file)?;
        Ok(connect_with(&url, file, &Transport::Checked(self.nats_tls.clone(), plain), name).await?)
    }
}
