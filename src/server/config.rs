//! Settings that several commands share: flags, or `HEADWATER_*` variables where a secret must not stand in a command line.

use std::path::PathBuf;

use clap::Arg;
use program::password;
use store::database::Database;
use store::reader::Reader;

use crate::backend;

/// Where the log's database is. A command that connects as another role has its own help for it.
#[derive(Clone, Debug, clap::Args)]
pub struct PostgresOptions {
    /// The log as role headwater_app: postgres://headwater_app:password@host:port/database
    #[arg(long, env = "HEADWATER_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: String,

    /// A file with the password for that URL, which then is postgres://headwater_app@host:port/database
    #[arg(long, env = "HEADWATER_DATABASE_PASSWORD_FILE", value_name = "FILE")]
    pub database_password_file: Option<PathBuf>,
}

impl PostgresOptions {
    /// For `mut_args` of a command that connects as another role: its help for the URL and for the file.
    pub fn with_help(url: &'static str, file: &'static str) -> impl FnMut(Arg) -> Arg {
        move |arg| match arg.get_id().as_str() {
            "database_url" => arg.help(url),
            "database_password_file" => arg.help(file),
            _ => arg,
        }
    }

    /// The settings to check if the database refuses the login.
    #[must_use]
    pub fn login_settings(&self) -> String {
        match &self.database_password_file {
            Some(file) => format!("--database-url, and the password in {}", file.display()),
            None => "--database-url (or HEADWATER_DATABASE_URL) and the password in it".to_owned(),
        }
    }

    /// The URL with its password.
    ///
    /// # Errors
    /// If the password can't be read or has no place in the URL.
    pub fn url(&self) -> Result<String, password::Error> {
        password::fill(&self.database_url, self.database_password_file.as_deref())
    }

    /// Opens the log for reading.
    ///
    /// # Errors
    /// If the URL or its password can't be used, or PostgreSQL can't be reached or refuses.
    pub async fn open(&self) -> Result<Reader, backend::Error> {
        Ok(Reader::open(Database::parse(&self.url()?)?).await?)
    }
}

/// How Headwater's streams are kept in NATS.
#[derive(Clone, Debug, clap::Args)]
pub struct StreamOptions {
    /// How many servers of a NATS cluster keep each stream. Used when a stream is made.
    #[arg(long, env = "HEADWATER_NATS_REPLICAS", value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u8).range(1..=5))]
    pub nats_replicas: u8,
}

/// Where the signing key is.
#[derive(Clone, Debug, clap::Args)]
pub struct SigningKeyOptions {
    /// The file with the Ed25519 key that desired records are signed with: 64 hex digits, mode 600. `headwater install`
    /// makes it if there is none; every server of one log needs the same.
    #[arg(long, env = "HEADWATER_SIGNING_KEY_FILE", value_name = "FILE")]
    pub signing_key_file: PathBuf,
}
