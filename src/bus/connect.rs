//! A connection to NATS that connects and reconnects by itself.
//!
//! Invariants: a program starts without NATS; reconnects have an exponential back-off with jitter; a caller can see that there
//! was a reconnect, to start its watch again.

use std::path::Path;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::{self, context::ContextBuilder};
use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use percent_encoding::percent_decode_str;
use program::backoff::Backoff;
use tokio::sync::watch;

use crate::client_identity::ClientIdentity;
use crate::connection_status::ConnectionStatus;
pub use crate::connection_status::{AccessRefusal, NatsAccess};
use crate::identity::BusIdentity;
use crate::transport::{Transport, TransportError};

/// How long one answer of NATS may take.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// A dead connection is noticed after two missed pongs.
const PING_EVERY: Duration = Duration::from_secs(5);
/// The first pause between two attempts.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest pause: also a fleet that reconnects at once is back after this time.
const PAUSE_MAX: Duration = Duration::from_secs(4);
/// How often [`Link::up`] reads the state itself, in case an event was lost.
const POLL_EVERY: Duration = Duration::from_secs(1);

/// A connection, up or not. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Link {
    client: Client,
    ups: watch::Receiver<u64>,
    status: ConnectionStatus,
}

/// The URL can't be used.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It is malformed.
    #[error("{url:?} is no NATS address: {why}")]
    Malformed {
        /// The URL, without its password.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// Its servers must not be reached in that way.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// As [`NatsOptions::connect`](crate::options::NatsOptions::connect), without a password file and without looking at where `url` leads.
///
/// # Errors
/// If `url` is malformed.
pub async fn connect(url: &str, name: &str) -> Result<Link, AddressError> {
    connect_with(url, None, None, &Transport::Unchecked, name).await
}

/// As [`connect`], with an identity.
///
/// # Errors
/// If `url` is malformed.
pub async fn connect_as(url: &str, identity: &BusIdentity, name: &str) -> Result<Link, AddressError> {
    connect_with(url, Some(identity), None, &Transport::Unchecked, name).await
}

/// Starts to connect to `url` as client `name`, and returns at once. `url` is `nats://user:password@host:port`, or has a token
/// alone before the `@`; of several, separated by commas, the first credentials are used for all. Without credentials in it the key of
/// `identity` is used. While NATS can't be reached, a log line says every minute why; `password_file` is only named there.
///
/// # Errors
/// If `url` is malformed, or `transport` does not allow its servers.
pub(crate) async fn connect_with(
    url: &str,
    identity: Option<&BusIdentity>,
    password_file: Option<&Path>,
    transport: &Transport,
    name: &str,
) -> Result<Link, AddressError> {
    let bad = |why: String| AddressError::Malformed { url: without_password(url), why };
    let servers: Result<Vec<ServerAddr>, _> = url.split(',').map(str::parse).collect();
    let servers = servers.map_err(|error| bad(error.to_string()))?;
    let (up, ups) = watch::channel(0);
    let (connection, connected) = watch::channel(false);
    let (options, identity) = authenticated(&servers, identity);
    let options = transport.apply(options, &servers)?;
    let status = ConnectionStatus::of(&servers, identity, password_file);
    let (event_status, server_status, delay_status) = (status.clone(), status.clone(), status.clone());
    let options = options
        .name(name)
        .retry_on_initial_connect()
        .connection_timeout(ANSWER_WITHIN)
        .request_timeout(Some(ANSWER_WITHIN))
        .ping_interval(PING_EVERY)
        .reconnect_delay_callback(move |attempt| {
            Backoff::between(PAUSE_MIN, delay_status.longest_pause(PAUSE_MAX)).before(attempt)
        })
        // The client calls this before each round over its servers; None leaves the choice to it.
        .reconnect_to_server_callback(move |servers, _| {
            server_status.note_servers(&servers);
            std::future::ready(None)
        })
        .event_callback(move |event| {
            event_status.note_event(&event);
            match event {
                Event::Connected => {
                    up.send_modify(|count| *count += 1);
                    connection.send_replace(true);
                }
                Event::Disconnected => drop(connection.send_replace(false)),
                _ => {}
            }
            std::future::ready(())
        });
    let client = options.connect(servers).await.map_err(|error| bad(error.to_string()))?;
    drop(tokio::spawn(status.clone().log_outages(connected)));
    Ok(Link { client, ups, status })
}

/// The client library ignores credentials in a URL, so they are set as options: a user and password, or a token alone; else the key.
/// Also gives the identity for messages.
fn authenticated(servers: &[ServerAddr], identity: Option<&BusIdentity>) -> (ConnectOptions, ClientIdentity) {
    let credentials = servers.iter().find_map(|server| Some((server.username()?, server.password())));
    match credentials {
        Some((user, Some(password))) => {
            let user = decoded(user);
            let options = ConnectOptions::with_user_and_password(user.clone(), decoded(password));
            (options, ClientIdentity::User { name: user, has_key: identity.is_some() })
        }
        Some((token, None)) => (ConnectOptions::with_token(decoded(token)), ClientIdentity::Token),
        None => match identity {
            Some(identity) => (identity.options(), ClientIdentity::Key(identity.public(), identity.holder())),
            None => (ConnectOptions::new(), ClientIdentity::Anonymous),
        },
    }
}

/// Percent-decoded.
fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

impl Link {
    /// For publishing and subscribing without JetStream.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// JetStream, with [`ANSWER_WITHIN`] as its timeout.
    #[must_use]
    pub fn jetstream(&self) -> jetstream::Context {
        ContextBuilder::new().timeout(ANSWER_WITHIN).build(self.client.clone())
    }

    /// Whether the connection is up. The client queues messages while it is down and sends them late, so check first.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// One line for the operator: servers, errors, identity, and what to check.
    #[must_use]
    pub fn unreachable_reason(&self) -> String {
        self.status.to_string()
    }

    /// Whether NATS lets this program in, as far as is known.
    #[must_use]
    pub fn access(&self) -> NatsAccess {
        self.status.access()
    }

    /// Who this program is for NATS, such as `key U…`.
    #[must_use]
    pub fn identity(&self) -> String {
        self.status.identity()
    }

    /// The number of connects and reconnects so far.
    #[must_use]
    pub fn ups(&self) -> watch::Receiver<u64> {
        self.ups.clone()
    }

    /// Waits without a limit until the connection is up.
    pub async fn up(&self) {
        let mut ups = self.ups.clone();
        loop {
            ups.mark_unchanged();
            if self.is_up() {
                return;
            }
            // After a timeout or the end of the client the state is read again.
            let _ = tokio::time::timeout(POLL_EVERY, ups.changed()).await;
        }
    }
}

/// The same servers without user and password.
pub(crate) fn without_credentials(url: &str) -> String {
    let bare = |url: &str| match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        (None, Some((_, host))) => host.to_owned(),
        _ => url.to_owned(),
    };
    url.split(',').map(bare).collect::<Vec<_>>().join(",")
}

/// For messages and log lines.
pub(crate) fn without_password(url: &str) -> String {
    let shown = |url: &str| match url.rsplit_once('@') {
        Some((before, host)) => format!("{}://…@{host}", before.split_once("://").map_or("nats", |(scheme, _)| scheme)),
        None => url.to_owned(),
    };
    url.split(',').map(shown).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_decoded() {
        for (text, meant) in
            [("plain", "plain"), ("a%40b%2Fc", "a@b/c"), ("100%", "100%"), ("%zz", "%zz"), ("%C3%BC", "ü")]
        {
            assert_eq!(decoded(text), meant);
        }
    }

    #[tokio::test]
    async fn what_is_no_address_is_refused_without_its_password() {
        let refused = connect("http://ann:secret@h:1", "test").await.expect_err("no NATS address");
        assert!(!refused.to_string().contains("secret"), "{refused}");
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        assert_eq!(without_password("nats://ann:secret@h:1,nats://h:2"), "nats://…@h:1,nats://h:2");
    }
}
