//! The flags of every program that uses NATS, or `HEADWATER_*` variables where a secret must not stand in a command line.

use std::path::PathBuf;

use clap::Arg;
use program::password;
use schema::address::Prefix;
use tls::plain::PlainOption;

use crate::connect::{AddressError, Link, connect_with, without_credentials, without_password};
use crate::identity::{BusIdentity, SeedFileError};
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

/// Who a program of the centre is for NATS, where the URL has no user.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct IdentityOptions {
    /// A file with the seed (SU…, mode 600) of the user to connect as, such as relay.nk of `headwater bus init`. A user in the URL is
    /// used instead of it.
    #[arg(long, env = "HEADWATER_NATS_NKEY_FILE", value_name = "FILE")]
    pub nats_nkey_file: Option<PathBuf>,
}

impl IdentityOptions {
    /// The identity, if there is a file.
    ///
    /// # Errors
    /// If the file can't be read, others may read it, or it holds no seed of a user.
    pub fn load(&self) -> Result<Option<BusIdentity>, SeedFileError> {
        self.nats_nkey_file.as_deref().map(BusIdentity::load).transpose()
    }
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

    /// Whether the URL names a user, who is used instead of an identity.
    #[must_use]
    pub fn names_user(&self) -> bool {
        self.nats_url.contains('@')
    }

    /// The URL without user and password, for log lines.
    #[must_use]
    pub fn shown_url(&self) -> String {
        without_password(&self.nats_url)
    }

    /// Connects as an identity, whatever user the URL names.
    ///
    /// # Errors
    /// If the URL is malformed, the CA can't be used, or the URL leads to another machine without TLS and that is not allowed.
    pub async fn connect_as<E: From<AddressError>>(
        &self,
        plain: PlainOption,
        identity: &BusIdentity,
        name: &str,
    ) -> Result<Link, E> {
        let url = without_credentials(&self.nats_url);
        Ok(connect_with(&url, Some(identity), None, &Transport::Checked(self.nats_tls.clone(), plain), name).await?)
    }

    /// Starts to connect as client `name`, and returns at once. The identity is used where the URL has no user.
    ///
    /// # Errors
    /// If the URL is malformed, the password can't be read or has no place in the URL, the CA can't be used, or the URL leads to another
    /// machine without TLS and that is not allowed.
    pub async fn connect<E: From<AddressError> + From<password::Error>>(
        &self,
        plain: PlainOption,
        identity: Option<&BusIdentity>,
        name: &str,
    ) -> Result<Link, E> {
        let file = self.nats_password_file.as_deref();
        let url = password::fill(&self.nats_url, file)?;
        if let Some(identity) = identity.filter(|_| self.names_user()) {
            tracing::warn!(
                nats = self.shown_url(),
                unused_key = identity.public(),
                "the URL of NATS names a user, so this program comes in as that user and not by its key: leave the user out of --nats-url \
                 (HEADWATER_NATS_URL), unless NATS has one password for all"
            );
        }
        Ok(connect_with(&url, identity, file, &Transport::Checked(self.nats_tls.clone(), plain), name).await?)
    }
}
