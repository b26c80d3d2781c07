//! One connection to NATS that comes up by itself, and comes back by itself.
//!
//! What always holds: starting works without NATS; each reconnect waits a little longer, up to a limit, and never in step
//! with other clients; whoever must begin anew after a reconnect can see that there was one.

use std::path::Path;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::{self, context::ContextBuilder};
use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use percent_encoding::percent_decode_str;
use program::backoff::Backoff;
use tokio::sync::watch;

use crate::connection_status::{ClientIdentity, ConnectionStatus};

/// How long one answer of NATS may take.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// A silent connection is found out after two missed answers.
const PING_EVERY: Duration = Duration::from_secs(5);
/// The first pause between two attempts to connect.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest pause: a fleet that comes back at once asks at most this late.
const PAUSE_MAX: Duration = Duration::from_secs(4);
/// How often somebody who waits for the connection looks by himself, lest an event was lost.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A connection, up or not.
#[derive(Clone, Debug)]
pub struct Link {
    client: Client,
    ups: watch::Receiver<u64>,
    status: ConnectionStatus,
}

/// The address is none.
#[derive(Debug, thiserror::Error)]
#[error("{url:?} is no NATS address: {why}")]
pub struct AddressError {
    url: String,
    why: String,
}

/// The same as [`connect_with`], where no password comes from a file.
///
/// # Errors
/// If `url` is no address.
pub async fn connect(url: &str, name: &str) -> Result<Link, AddressError> {
    connect_with(url, None, name).await
}

/// Begins to connect to `url` (`nats://user:password@host:port`, or a token alone before the `@`; several separated by
/// commas, the credentials of the first that has any are for all) under `name`, and returns
/// at once, whether NATS is there or not. As long as it is not, a line says every minute why; `password_file` is where the
/// password in `url` came from, for that line.
///
/// # Errors
/// If `url` is no address.
pub async fn connect_with(url: &str, password_file: Option<&Path>, name: &str) -> Result<Link, AddressError> {
    let bad = |why: String| AddressError { url: without_password(url), why };
    let servers: Result<Vec<ServerAddr>, _> = url.split(',').map(str::parse).collect();
    let servers = servers.map_err(|error| bad(error.to_string()))?;
    let (up, ups) = watch::channel(0);
    let (connection, connected) = watch::channel(false);
    let (options, identity) = authenticated(&servers);
    let status = ConnectionStatus::of(&servers, identity, password_file);
    let (heard, asked) = (status.clone(), status.clone());
    let options = options
        .name(name)
        .retry_on_initial_connect()
        .connection_timeout(ANSWER_WITHIN)
        .request_timeout(Some(ANSWER_WITHIN))
        .ping_interval(PING_EVERY)
        .reconnect_delay_callback(|attempt| Backoff::between(PAUSE_MIN, PAUSE_MAX).before(attempt))
        // It is asked before each round over the servers, and leaves the choice among them to the client.
        .reconnect_to_server_callback(move |servers, _| {
            asked.note_servers(&servers);
            std::future::ready(None)
        })
        .event_callback(move |event| {
            heard.hear(&event);
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
    drop(tokio::spawn(status.clone().tell(connected)));
    Ok(Link { client, ups, status })
}

/// The client reads no credentials from an address, so they are handed to it: a user and password, or a token alone. With
/// them, identity NATS takes this client for.
fn authenticated(servers: &[ServerAddr]) -> (ConnectOptions, ClientIdentity) {
    let credentials = servers.iter().find_map(|server| Some((server.username()?, server.password())));
    match credentials {
        Some((user, Some(password))) => {
            let user = decoded(user);
            (ConnectOptions::with_user_and_password(user.clone(), decoded(password)), ClientIdentity::User(user))
        }
        Some((token, None)) => (ConnectOptions::with_token(decoded(token)), ClientIdentity::Token),
        None => (ConnectOptions::new(), ClientIdentity::Anonymous),
    }
}

/// Percent-encoded text of an address as it was meant.
fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

impl Link {
    /// The client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// JetStream, each answer within [`ANSWER_WITHIN`].
    #[must_use]
    pub fn jetstream(&self) -> jetstream::Context {
        ContextBuilder::new().timeout(ANSWER_WITHIN).build(self.client.clone())
    }

    /// Whether the connection is up. What is sent while it is down waits in a queue and goes out late, so look first.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Why NATS can't be reached, where, as identity, and what to look at.
    #[must_use]
    pub fn unreachable_reason(&self) -> String {
        self.status.to_string()
    }

    /// Counts how often the connection came up.
    #[must_use]
    pub fn ups(&self) -> watch::Receiver<u64> {
        self.ups.clone()
    }

    /// Waits, however long it takes, until the connection is up.
    pub async fn up(&self) {
        let mut ups = self.ups.clone();
        loop {
            ups.mark_unchanged();
            if self.is_up() {
                return;
            }
            // Neither a lost event nor the end of the client is news: the state is looked at again.
            let _ = tokio::time::timeout(LOOK_EVERY, ups.changed()).await;
        }
    }
}

/// An address as it may be shown.
fn without_password(url: &str) -> String {
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
