//! How a session of PostgreSQL is opened.
//!
//! Always: with a CA nothing is said before PostgreSQL has shown a certificate that the CA signed, for the name that was asked for, and
//! a login by password is bound to that certificate (`channel_binding`), so that nobody in between can pass it on. There is no fall-back
//! to a plain session. Sockets of this machine have no TLS, which PostgreSQL does not speak there.
//!
//! Not here: what is said in a session (`store`, `wal`), and deadlines, which are the callers'.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use tls::authorities::Authorities;
use tls::error::Error as TlsError;
use tls::handshake_fault::HandshakeFault;
use tls::plain::is_loopback;
use tokio_postgres::config::{ChannelBinding, Host, SslMode};
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

/// The flag with the CA.
const CA_FLAG: &str = "--database-ca-file (HEADWATER_DATABASE_CA_FILE)";

/// Where PostgreSQL is, who logs in, and which CA has to have signed its certificate.
#[derive(Clone, Debug)]
pub struct PostgresEndpoint {
    config: Config,
    authorities: Option<Authorities>,
}

/// No session could be opened.
#[derive(Debug, thiserror::Error)]
pub enum PostgresOpenError {
    /// PostgreSQL can't be reached or refuses.
    #[error(transparent)]
    Postgres(#[from] tokio_postgres::Error),
    /// The CA can't be used.
    #[error(transparent)]
    Authorities(#[from] TlsError),
}

impl PostgresEndpoint {
    /// The endpoint of a URL, or of its `key=value` form, without TLS.
    ///
    /// # Errors
    /// If it is neither.
    pub fn parse(url: &str) -> Result<Self, tokio_postgres::Error> {
        Ok(Self { config: url.parse()?, authorities: None })
    }

    /// The same, where TLS is required and the CA in this file has signed the certificate. With a socket among the hosts nothing
    /// changes.
    ///
    /// # Errors
    /// If the file can't be used. It is read again for each session.
    pub fn verified_by(mut self, ca_file: Option<&Path>) -> Result<Self, TlsError> {
        let has_socket = self.config.get_hosts().iter().any(|host| !matches!(host, Host::Tcp(_)));
        if let Some(file) = ca_file.filter(|_| !has_socket) {
            let authorities = Authorities::File(file.to_owned());
            authorities.client_config()?;
            self.config.ssl_mode(SslMode::Require).channel_binding(ChannelBinding::Require);
            self.authorities = Some(authorities);
        }
        Ok(self)
    }

    /// What the URL says.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The same, to be completed.
    pub fn config_mut(&mut self) -> &mut Config {
        &mut self.config
    }

    /// The CAs, where TLS is spoken.
    #[must_use]
    pub fn authorities(&self) -> Option<&Authorities> {
        self.authorities.as_ref()
    }

    /// Whether nobody else can listen in: by TLS, or because it is this machine.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        let is_here = |host: &Host| match host {
            Host::Tcp(host) => is_loopback(host),
            #[cfg(unix)]
            Host::Unix(_) => true,
        };
        // An address takes the place of the host that stands beside it.
        let (hosts, addresses) = (self.config.get_hosts(), self.config.get_hostaddrs());
        let is_local = match addresses {
            [] => hosts.iter().all(is_here),
            addresses => addresses.iter().map(IpAddr::to_canonical).all(|address| address.is_loopback()),
        };
        self.authorities.is_some() || is_local
    }

    /// A new session, as `config` says. It ends when the client is dropped; its errors reach whoever waits for an answer.
    ///
    /// # Errors
    /// If PostgreSQL can't be reached or refuses, shows a certificate that does not count, or does not speak TLS.
    pub async fn open(&self, config: &Config) -> Result<Client, PostgresOpenError> {
        let client = match &self.authorities {
            None => {
                let (client, connection) = config.connect(NoTls).await?;
                tokio::spawn(connection);
                client
            }
            Some(authorities) => {
                let tls = MakeRustlsConnect::new(authorities.client_config()?);
                let (client, connection) = config.connect(tls).await?;
                tokio::spawn(connection);
                client
            }
        };
        Ok(client)
    }
}

/// An error of PostgreSQL on one line: its message with its SQLSTATE if it answered, else the client's message with its cause, and what to
/// do if the handshake failed. It includes the source.
#[must_use]
pub fn shown_error(error: &tokio_postgres::Error) -> String {
    let text = match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(refused), _) => format!("{} (SQLSTATE {})", refused.message(), refused.code().code()),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    };
    match HandshakeFault::of(error) {
        Some(fault) => format!("{text} ({}: {})", fault.code(), advice(fault)),
        None => text,
    }
}

/// What a failed handshake with PostgreSQL means.
pub fn advice(fault: HandshakeFault) -> impl fmt::Display {
    fault.advice(CA_FLAG)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use super::*;

    #[test]
    fn what_is_on_this_machine_needs_no_tls_and_nothing_else_is_taken_for_it() {
        for (url, expected) in [
            ("postgres://a@localhost/db", true),
            ("postgres://a@127.0.0.1,[::1]:5433/db", true),
            ("host=/run/postgresql user=a", true),
            ("postgres://a@db/x", false),
            ("postgres://a@localhost,db/x", false),
            ("host=localhost hostaddr=10.0.0.1 user=a", false),
            ("host=db hostaddr=127.0.0.1 user=a", true),
        ] {
            assert_eq!(PostgresEndpoint::parse(url).unwrap().is_protected(), expected, "{url}");
        }
    }
}
