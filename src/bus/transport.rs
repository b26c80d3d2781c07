//! TLS to NATS.
//!
//! Always: with one `tls://` address nothing is said to any server, also to none that the cluster names, before it has shown a
//! certificate that counts. Without TLS only the servers of the URL are used, because the cluster may name servers on other machines.

use std::path::PathBuf;

use async_nats::{ConnectOptions, ServerAddr};
use tls::authorities::Authorities;
use tls::error::Error as TlsError;
use tls::plain::{PlainOption, PlainRefusal, is_loopback};

/// The flags for TLS to NATS.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub struct NatsTlsOptions {
    /// A PEM file with the CA that signed the certificates of NATS, for a URL with tls://. Read at each connect [default: the CAs that
    /// this system trusts]
    #[arg(long, env = "HEADWATER_NATS_CA_FILE", value_name = "FILE")]
    pub nats_ca_file: Option<PathBuf>,

    /// NATS says its first line (INFO) in the clear before the TLS handshake. Needed where a server with tls:// does not have
    /// `handshake_first`, as those of others may not.
    #[arg(long, env = "HEADWATER_NATS_INFO_FIRST")]
    pub nats_info_first: bool,
}

/// An address of NATS can't be used as it is.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// It is that of another machine, without TLS.
    #[error(transparent)]
    Plain(#[from] PlainRefusal),
    /// The CA can't be used.
    #[error("the CA of NATS can't be used (--nats-ca-file)")]
    Authorities(#[from] TlsError),
    /// One address has TLS, and another has not.
    #[error("of several addresses of NATS all begin with tls://, or none does")]
    Mixed,
}

/// How the servers of a URL are reached.
#[derive(Clone, Debug)]
pub(crate) enum Transport {
    /// As the client library does by itself: for tests on this machine.
    Unchecked,
    /// As the operator said.
    Checked(NatsTlsOptions, PlainOption),
}

impl Transport {
    /// Adds to the options of the client what these servers need.
    ///
    /// # Errors
    /// If one of them must not be reached in that way.
    pub(crate) fn apply(
        &self,
        options: ConnectOptions,
        servers: &[ServerAddr],
    ) -> Result<ConnectOptions, TransportError> {
        let Self::Checked(tls, plain) = self else { return Ok(options) };
        let encrypted = servers.iter().filter(|server| server.tls_required()).count();
        if encrypted == 0 {
            let remedy = "begin it with tls://, and give the CA with --nats-ca-file";
            for server in servers {
                let place = format!("{}:{}", server.host(), server.port());
                plain.allow(is_loopback(server.host()), "--nats-url", place, remedy)?;
            }
            return Ok(if plain.plain { options } else { options.ignore_discovered_servers() });
        }
        if encrypted < servers.len() {
            return Err(TransportError::Mixed);
        }
        // The client library reads the file at each connect; here only what is wrong with it now.
        Authorities::from(tls.nats_ca_file.as_deref()).client_config()?;
        let options = match &tls.nats_ca_file {
            Some(file) => options.add_root_certificates(file.clone()),
            None => options,
        };
        Ok(if tls.nats_info_first { options.require_tls(true) } else { options.tls_first() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str, is_plain_allowed: bool) -> Option<TransportError> {
        let servers: Vec<ServerAddr> = url.split(',').map(|url| url.parse().expect("an address")).collect();
        let transport = Transport::Checked(NatsTlsOptions::default(), PlainOption { plain: is_plain_allowed });
        transport.apply(ConnectOptions::new(), &servers).err()
    }

    #[test]
    fn another_machine_is_reached_by_tls_or_where_the_operator_says_so() {
        for url in ["nats://localhost:4222", "127.0.0.1", "nats://a:b@[::1]:1,nats://127.0.0.1:2"] {
            assert!(refusal(url, false).is_none(), "{url}");
        }
        for url in ["nats://nats:4222", "nats://127.0.0.1:1,nats://10.0.0.1:2"] {
            let refused = refusal(url, false).expect("another machine").to_string();
            assert!(refused.contains("--plain") && refused.contains("tls://"), "{refused}");
            assert!(refusal(url, true).is_none(), "{url}");
        }
        assert!(matches!(refusal("tls://a:1,nats://localhost:2", true), Some(TransportError::Mixed)));
    }

    #[test]
    fn a_ca_that_is_not_there_is_found_out_at_the_start() {
        let tls = NatsTlsOptions { nats_ca_file: Some("/no/such/file".into()), nats_info_first: false };
        let servers = ["tls://localhost".parse().expect("an address")];
        let refused = Transport::Checked(tls, PlainOption::default()).apply(ConnectOptions::new(), &servers);
        assert!(matches!(refused, Err(TransportError::Authorities(_))));
    }
}
