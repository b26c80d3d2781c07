//! One connection to NATS that comes up by itself, and comes back by itself.
//!
//! What always holds: starting works without NATS; each reconnect waits a little longer, up to a limit, and never in step
//! with other clients; whoever must begin anew after a reconnect can see that there was one.

use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::{self, context::ContextBuilder};
use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use percent_encoding::percent_decode_str;
use tokio::sync::watch;

/// How long one answer of NATS may take.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// A silent connection is found out after two missed answers.
const PING_EVERY: Duration = Duration::from_secs(5);
/// The first pause between two attempts to connect; it doubles.
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
}

/// The address is none.
#[derive(Debug, thiserror::Error)]
#[error("{url:?} is no NATS address")]
pub struct BadAddress {
    url: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// Begins to connect to `url` (`nats://user:password@host:port`, several separated by commas) under `name`, and returns
/// at once, whether NATS is there or not.
///
/// # Errors
/// If `url` is no address.
pub async fn connect(url: &str, name: &str) -> Result<Link, BadAddress> {
    let (up, ups) = watch::channel(0);
    let bad = |source| BadAddress { url: without_password(url), source };
    let addresses: Result<Vec<ServerAddr>, _> = url.split(',').map(|url| url.trim().parse()).collect();
    let addresses = addresses.map_err(|source: std::io::Error| bad(source.into()))?;
    let options = ConnectOptions::new()
        .name(name)
        .retry_on_initial_connect()
        .connection_timeout(ANSWER_WITHIN)
        .request_timeout(Some(ANSWER_WITHIN))
        .ping_interval(PING_EVERY)
        .reconnect_delay_callback(pause)
        .event_callback(move |event| {
            log(&event);
            if matches!(event, Event::Connected) {
                up.send_modify(|count| *count += 1);
            }
            std::future::ready(())
        });
    let client = match credentials(&addresses) {
        Some((user, password)) => options.user_and_password(user, password).connect(addresses).await,
        None => options.connect(addresses).await,
    };
    Ok(Link { client: client.map_err(|source| bad(source.into()))?, ups })
}

/// The client takes credentials as an option and passes over those in an address, where they are percent-encoded.
fn credentials(addresses: &[ServerAddr]) -> Option<(String, String)> {
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    addresses.iter().find_map(|address| Some((plain(address.username()?), plain(address.password()?))))
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

/// The pause before the given attempt: none before the first, then doubling, and anywhere between half and all of it.
fn pause(attempt: usize) -> Duration {
    if attempt <= 1 {
        return Duration::ZERO;
    }
    let doublings = u32::try_from(attempt - 2).unwrap_or(u32::MAX).min(16);
    let full = PAUSE_MIN.saturating_mul(1 << doublings).min(PAUSE_MAX);
    full.mul_f64(0.5 + fastrand::f64() / 2.0)
}

fn log(event: &Event) {
    match event {
        Event::Connected => tracing::info!("NATS is there"),
        Event::Disconnected => tracing::warn!("NATS is gone; connecting again"),
        Event::ServerError(error) => tracing::warn!(%error, "NATS refuses"),
        Event::ClientError(error) => tracing::debug!(%error, "NATS is not there yet"),
        other => tracing::info!(event = %other, "NATS says"),
    }
}

/// An address as it may be shown.
fn without_password(url: &str) -> String {
    let shown = |url: &str| match url.rsplit_once('@') {
        Some((before, host)) => format!("{}…@{host}", before.split_once("://").map_or("", |(scheme, _)| scheme)),
        None => url.to_owned(),
    };
    url.split(',').map(shown).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_are_never_in_step() {
        assert_eq!(pause(1), Duration::ZERO);
        for attempt in 2..200 {
            assert!((PAUSE_MIN / 2..=PAUSE_MAX).contains(&pause(attempt)), "{attempt}");
        }
        let pauses: std::collections::BTreeSet<_> = (0..10).map(|_| pause(30)).collect();
        assert!(pauses.len() > 1);
        assert!(pause(usize::MAX) >= PAUSE_MAX / 2);
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        assert_eq!(without_password("nats://ann:secret@h:1,nats://h:2"), "nats…@h:1,nats://h:2");
    }
}
