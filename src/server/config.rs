//! Settings that several commands share: flags, or `HEADWATER_*` variables where a secret must not stand in a command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Arg;
use program::password;
use store::database::Database;
use store::reader::Reader;
use tls::plain::PlainOption;
use tls::server_certificate::{CertificateFiles, ServerCertificate};
use wal::slot::Slot;

use crate::backend;

/// What to do about a PostgreSQL on another machine.
const CA_REMEDY: &str = "give the CA of PostgreSQL's certificate with --database-ca-file";

/// Where the log's database is. A command that connects as another role has its own help for it.
#[derive(Clone, Debug, clap::Args)]
pub struct PostgresOptions {
    /// The log as role headwater_app: postgres://headwater_app:password@host:port/database
    #[arg(long, env = "HEADWATER_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: String,

    /// A file with the password for that URL, which then is postgres://headwater_app@host:port/database
    #[arg(long, env = "HEADWATER_DATABASE_PASSWORD_FILE", value_name = "FILE")]
    pub database_password_file: Option<PathBuf>,

    /// A PEM file with the CA that signed PostgreSQL's certificate. TLS is then required, and chain and name are verified. Needed
    /// unless PostgreSQL is on this machine.
    #[arg(long, env = "HEADWATER_DATABASE_CA_FILE", value_name = "FILE")]
    pub database_ca_file: Option<PathBuf>,
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

    /// The database.
    ///
    /// # Errors
    /// If the URL, its password or the CA can't be used, or it is on another machine without TLS and that is not allowed.
    pub fn database(&self, plain: PlainOption) -> Result<Database, backend::Error> {
        let database = Database::parse(&self.url()?)?.verified_by(self.database_ca_file.as_deref())?;
        plain.allow(database.is_protected(), "--database-url", database.place(), CA_REMEDY)?;
        Ok(database.told_by(self.login_settings()))
    }

    /// The slot at the same server, as the role of `url`; `flag` has that URL.
    ///
    /// # Errors
    /// As [`PostgresOptions::database`].
    pub fn slot(
        &self,
        url: &str,
        flag: &'static str,
        name: Option<String>,
        plain: PlainOption,
    ) -> Result<Slot, backend::Error> {
        let slot = Slot::parse(url, name)?.verified_by(self.database_ca_file.as_deref())?;
        plain.allow(slot.is_protected(), flag, slot.place(), CA_REMEDY)?;
        Ok(slot)
    }

    /// Opens the log for reading.
    ///
    /// # Errors
    /// As [`PostgresOptions::database`], and if PostgreSQL can't be reached or refuses.
    pub async fn open(&self, plain: PlainOption) -> Result<Reader, backend::Error> {
        Ok(Reader::open(self.database(plain)?).await?)
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

/// What a server needs to say who may come into NATS.
#[derive(Clone, Debug, clap::Args)]
pub struct BusOptions {
    /// The folder of `headwater bus init`: with answerer.nk and issuer.nk this server answers nats-server who may come in, with warden.nk
    /// it cuts the connections of those who may not any more.
    #[arg(long, env = "HEADWATER_BUS_DIR", value_name = "DIR")]
    pub bus_dir: Option<PathBuf>,
}

/// Where the signing key is.
#[derive(Clone, Debug, clap::Args)]
pub struct SigningKeyOptions {
    /// The file with the Ed25519 key that desired records are signed with: 64 hex digits, mode 600. `headwater install`
    /// makes it if there is none; every server of one log needs the same.
    #[arg(long, env = "HEADWATER_SIGNING_KEY_FILE", value_name = "FILE")]
    pub signing_key_file: PathBuf,
}

/// Where the HTTP API listens, and the certificate that it shows.
#[derive(Clone, Debug, clap::Args)]
pub struct HttpOptions {
    /// The address of the HTTP API. One that other machines reach needs a certificate.
    #[arg(long, env = "HEADWATER_HTTP", value_name = "ADDR", default_value = "127.0.0.1:7300")]
    pub http: SocketAddr,

    /// A PEM file with the certificate of the HTTP API, and after it those that lead to its CA; the API then speaks TLS only. Both
    /// files are read again when they change.
    #[arg(long, env = "HEADWATER_HTTP_CERT_FILE", value_name = "FILE", requires = "http_key_file")]
    pub http_cert_file: Option<PathBuf>,

    /// A PEM file with the private key of that certificate, without a passphrase.
    #[arg(long, env = "HEADWATER_HTTP_KEY_FILE", value_name = "FILE", requires = "http_cert_file")]
    pub http_key_file: Option<PathBuf>,

    /// Serve no console: no web pages at /console/, and nothing at /.
    #[arg(long, env = "HEADWATER_NO_CONSOLE")]
    pub no_console: bool,
}

impl HttpOptions {
    /// The certificate, if there is one.
    ///
    /// # Errors
    /// If it can't be used, or there is none and other machines reach the address although that is not allowed.
    pub fn certificate(&self, plain: PlainOption) -> Result<Option<ServerCertificate>, backend::Error> {
        let (Some(certificate), Some(key)) = (self.http_cert_file.clone(), self.http_key_file.clone()) else {
            let remedy = "give a certificate with --http-cert-file and --http-key-file";
            plain.allow(self.http.ip().is_loopback(), "--http", self.http.to_string(), remedy)?;
            return Ok(None);
        };
        Ok(Some(ServerCertificate::load(CertificateFiles { certificate, key })?))
    }
}
