//! The rule: nothing leaves this machine without TLS, unless somebody says `--plain`.

use std::net::IpAddr;

/// What the operator allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::Args)]
#[group(skip)]
pub struct PlainOption {
    /// Allow connections without TLS to and from other machines: who listens in reads passwords, tokens and configuration, and can
    /// change what passes. Without it a plain address is refused unless it is of this machine (loopback, or a socket).
    #[arg(long, env = "HEADWATER_PLAIN")]
    pub plain: bool,
}

/// An address that TLS does not protect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{flag} has {place}, which is not this machine, and nothing would be encrypted: {remedy}. If you know that nobody can listen \
     in on that way, say --plain (HEADWATER_PLAIN=true)"
)]
pub struct PlainRefusal {
    flag: &'static str,
    place: String,
    remedy: &'static str,
}

impl PlainOption {
    /// Allows an address without TLS if it is of this machine, or everything is allowed.
    ///
    /// # Errors
    /// If neither is so: an error that names the flag with the address, the address, and what to do.
    pub fn allow(
        self,
        is_this_machine: bool,
        flag: &'static str,
        place: impl Into<String>,
        remedy: &'static str,
    ) -> Result<(), PlainRefusal> {
        match self.plain || is_this_machine {
            true => Ok(()),
            false => Err(PlainRefusal { flag, place: place.into(), remedy }),
        }
    }
}

/// Whether a host is this machine, whatever name servers say: `localhost`, or an address of the loopback interface.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => bare.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_surely_this_machine_is_loopback() {
        for host in ["localhost", "LocalHost.", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "::ffff:127.0.0.1"] {
            assert!(is_loopback(host), "{host}");
        }
        // Neither is a name that only looks like one, nor an address that stands for all interfaces.
        for host in
            ["", "localhost.example", "a.localhost.b", "127.0.0.1.example", "0.0.0.0", "::", "10.0.0.1", "127.1"]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn a_refusal_names_the_flag_the_address_and_the_way_out() {
        let allow = |plain, here| PlainOption { plain }.allow(here, "--nats-url", "nats://h:1", "write tls://");
        assert_eq!((allow(false, true), allow(true, false), allow(true, true)), (Ok(()), Ok(()), Ok(())));
        let said = allow(false, false).expect_err("another machine").to_string();
        for part in ["--nats-url", "nats://h:1", "write tls://", "--plain", "HEADWATER_PLAIN"] {
            assert!(said.contains(part), "{said}");
        }
    }
}
