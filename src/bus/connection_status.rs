//! Why NATS can't be reached: the error of each server, the identity, and what to check.
//!
//! Invariant: no password and no token is shown. The client library retries for ever, also after a refusal, without a log line of
//! its own.
//!
//! While no server of Headwater answers nats-server who may come in, nats-server refuses after a few seconds; but it sends a PING before
//! that, which the client library takes for the end of the login. So a connection counts as let in only once it has lasted.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_nats::{ClientError, Event, Server, ServerAddr};
use tls::handshake_fault::HandshakeFault;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::client_identity::ClientIdentity;

/// The flag with the CA.
const CA_FLAG: &str = "--nats-ca-file (HEADWATER_NATS_CA_FILE)";
/// How long NATS may be away before it is logged: a restart of the server is no incident.
const LOG_AFTER: Duration = Duration::from_secs(2);
/// How often the reason is compared with the logged one.
const CHECK_EVERY: Duration = Duration::from_secs(5);
/// After so many checks the same reason is logged again: once a minute.
const CHECKS_BETWEEN: u32 = 12;

/// After so long a time of refusals the pauses between attempts grow.
const REFUSED_LONG: Duration = Duration::from_secs(5 * 60);
/// The longest pause while NATS refuses.
const REFUSED_PAUSE_MAX: Duration = Duration::from_secs(5 * 60);

/// A connection that has lasted so long is let in: nats-server waits 3 s for an answer about a client (`bus.conf`).
const LET_IN_AFTER: Duration = Duration::from_secs(5);

/// Why NATS does not let a client in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessRefusal {
    /// It refuses the key, or the user and the password.
    Credentials,
    /// It asks the servers of Headwater who may come in, and none answers.
    NoAnswer,
}

/// What is known of whether NATS lets a client in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NatsAccess {
    /// Nothing: NATS was not reached, or not for long enough.
    Unknown,
    /// It does.
    LetIn,
    /// It has refused for so long.
    Refused(AccessRefusal, Duration),
}

/// Identity, servers, and the last error of each. Clones share the errors.
#[derive(Clone, Debug)]
pub(super) struct ConnectionStatus {
    identity: ClientIdentity,
    password_file: Option<PathBuf>,
    last: Arc<Mutex<LastErrors>>,
}

#[derive(Debug, Default)]
struct LastErrors {
    /// Each server and its last error.
    servers: Vec<(String, Option<String>)>,
    /// The last error that names no server.
    other: Option<String>,
    /// Why NATS does not let the client in, and since when.
    refused: Option<(AccessRefusal, Instant)>,
    /// Since when there is a connection.
    connected: Option<Instant>,
}

impl LastErrors {
    /// Whether there is a connection that nats-server will not refuse any more.
    fn is_let_in(&self) -> bool {
        self.connected.is_some_and(|since| since.elapsed() > LET_IN_AFTER)
    }

    fn refuse(&mut self, refusal: AccessRefusal) {
        let since = self.refused.filter(|(known, _)| *known == refusal).map_or_else(Instant::now, |(_, since)| since);
        self.refused = Some((refusal, since));
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Connected => {
                (self.connected, self.other) = (Some(Instant::now()), None);
                if self.refused.is_some_and(|(refusal, _)| refusal == AccessRefusal::Credentials) {
                    self.refused = None;
                }
            }
            Event::Disconnected => {
                if self.is_let_in() {
                    self.refused = None;
                }
                (self.connected, self.other) = (None, None);
            }
            Event::ServerError(error) if is_refusal(&error.to_string()) && !self.is_let_in() => {
                self.refuse(AccessRefusal::NoAnswer);
            }
            Event::ClientError(ClientError::Other(why)) => self.other = Some(why.clone()),
            Event::ClientError(error) => self.other = Some(error.to_string()),
            _ => {}
        }
    }

    /// For how long NATS has refused the credentials.
    fn refused_for(&self) -> Option<Duration> {
        match self.refused {
            Some((AccessRefusal::Credentials, since)) => Some(since.elapsed()),
            // Whoever answers will be there again, and then nobody should wait long.
            _ => None,
        }
    }
}

impl ConnectionStatus {
    pub(super) fn of(servers: &[ServerAddr], identity: ClientIdentity, password_file: Option<&Path>) -> Self {
        let servers = servers.iter().map(|server| (server_name(server), None)).collect();
        let last = Arc::new(Mutex::new(LastErrors { servers, ..LastErrors::default() }));
        Self { identity, password_file: password_file.map(Path::to_owned), last }
    }

    pub(super) fn note_servers(&self, servers: &[Server]) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.servers = servers.iter().map(|server| (server_name(&server.addr), server.last_error.clone())).collect();
        // A server that is away says nothing about what the others refuse.
        let mut errors = last.servers.iter().filter_map(|(_, why)| why.as_deref()).map(is_refusal).peekable();
        if errors.peek().is_some() {
            match errors.any(|is_refusal| is_refusal) {
                true => last.refuse(AccessRefusal::Credentials),
                false => last.refused = None,
            }
        }
    }

    /// Whether NATS lets the client in.
    pub(super) fn access(&self) -> NatsAccess {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match last.refused {
            _ if last.is_let_in() => NatsAccess::LetIn,
            Some((refusal, since)) => NatsAccess::Refused(refusal, since.elapsed()),
            None => NatsAccess::Unknown,
        }
    }

    /// Who the client is, for messages.
    pub(super) fn identity(&self) -> String {
        self.identity.to_string()
    }

    /// For log lines.
    fn servers(&self) -> String {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.servers.iter().map(|(server, _)| server.as_str()).collect::<Vec<_>>().join(",")
    }

    /// Logs an event of the connection, and keeps its error.
    pub(super) fn note_event(&self, event: &Event) {
        match event {
            Event::Connected => {
                tracing::info!(servers = self.servers(), identity = %self.identity, "connected to NATS");
            }
            Event::Disconnected => {
                tracing::warn!(servers = self.servers(), identity = %self.identity, "connection to NATS lost; reconnecting");
            }
            Event::ServerError(error) => tracing::warn!(identity = %self.identity, %error, "NATS reports an error"),
            Event::ClientError(_) => {}
            other => tracing::info!(event = %other, "event of the NATS connection"),
        }
        self.last.lock().unwrap_or_else(PoisonError::into_inner).note(event);
    }

    /// The longest pause before the next attempt: `usual`, unless NATS has refused every attempt for so long that it will hardly take
    /// the next. A refusal may also mean that nobody answers NATS at the moment.
    pub(super) fn longest_pause(&self, usual: Duration) -> Duration {
        let refused_for = self.last.lock().unwrap_or_else(PoisonError::into_inner).refused_for();
        match refused_for {
            Some(refused_for) if refused_for > REFUSED_LONG => (refused_for / 4).min(REFUSED_PAUSE_MAX),
            _ => usual,
        }
    }

    /// Logs each outage and its reason, until the client is dropped. `connected` follows the connection.
    pub(super) async fn log_outages(self, mut connected: watch::Receiver<bool>) {
        while connected.wait_for(|is_up| !is_up).await.is_ok() {
            let (mut logged, mut checks, mut pause) = (String::new(), 0, LOG_AFTER);
            loop {
                match timeout(pause, connected.wait_for(|is_up| *is_up)).await {
                    Ok(Ok(_)) => break,
                    Ok(Err(_)) => return,
                    Err(_) => {
                        let now = self.to_string();
                        if logged != now || checks == CHECKS_BETWEEN {
                            tracing::warn!("{now}");
                            (logged, checks) = (now, 0);
                        }
                        (checks, pause) = (checks + 1, CHECK_EVERY);
                    }
                }
            }
        }
    }
}

impl fmt::Display for ConnectionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_unanswered = last.refused.is_some_and(|(refusal, _)| refusal == AccessRefusal::NoAnswer);
        let unknown = if is_unanswered { "it answers, and refuses after a while" } else { "no answer yet" };
        let why = |why: &Option<String>| why.as_ref().or(last.other.as_ref()).cloned();
        let servers: Vec<(&String, String)> = last
            .servers
            .iter()
            .map(|(server, reason)| (server, why(reason).unwrap_or_else(|| unknown.to_owned())))
            .collect();
        let fault = servers.iter().find_map(|(_, why)| HandshakeFault::of_text(why));
        let is_refused = servers.iter().any(|(_, why)| is_refusal(why));
        write!(f, "NATS can't be reached as {}: ", self.identity)?;
        for (number, (server, why)) in servers.iter().enumerate() {
            write!(f, "{}{server}: {why}", if number > 0 { "; " } else { "" })?;
        }
        f.write_str(match last.refused_for().is_some_and(|refused_for| refused_for > REFUSED_LONG) {
            true => ". It is tried again all the time, at least every 5 min. ",
            false => ". It is tried again all the time, at least every 5 s. ",
        })?;
        match fault {
            Some(fault) => write!(f, "TLS failed ({}): {}{}", fault.code(), fault.advice(CA_FLAG), first_word(fault)),
            None if is_refused => f.write_str(&self.identity.advice_refused(self.password_file.as_deref())),
            None if is_unanswered => f.write_str(self.identity.advice_unanswered()),
            None => f.write_str("Does NATS run there? --nats-url (HEADWATER_NATS_URL) says where it is looked for"),
        }
    }
}

/// What else a server that seems to have no TLS may have.
fn first_word(fault: HandshakeFault) -> &'static str {
    match fault {
        HandshakeFault::NoTls => {
            ", or says INFO before the handshake: set `handshake_first: true` in its tls block, or give this program --nats-info-first"
        }
        _ => "",
    }
}

/// Whether the server rejected the credentials.
fn is_refusal(why: &str) -> bool {
    let why = why.to_lowercase();
    ["authorization", "authentication"].iter().any(|word| why.contains(word))
}

/// Without credentials.
fn server_name(server: &ServerAddr) -> String {
    let (scheme, host, port) = (server.scheme(), server.host(), server.port());
    if host.contains(':') { format!("{scheme}://[{host}]:{port}") } else { format!("{scheme}://{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use async_nats::ServerError;

    use crate::identity::KeyHolder;

    use super::*;

    fn trouble(url: &str, identity: ClientIdentity, file: Option<&str>) -> ConnectionStatus {
        ConnectionStatus::of(&[url.parse().expect("an address")], identity, file.map(Path::new))
    }

    fn user(has_key: bool) -> ClientIdentity {
        ClientIdentity::User { name: "ann".into(), has_key }
    }

    fn key(holder: KeyHolder) -> ClientIdentity {
        ClientIdentity::Key("UKEY".into(), holder)
    }

    #[test]
    fn each_reason_names_address_user_and_where_to_look_and_no_password() {
        let url = "nats://ann:secret@[::1]:4222";
        let (file, violation) = (Some("/etc/pw"), "authorization violation");
        for (identity, file, reason, wanted) in [
            (user(false), None, "DNS error", ["nats://[::1]:4222: DNS error", "user \"ann\"", "--nats-url"]),
            (user(false), file, violation, ["refuses", "user \"ann\"", "file /etc/pw"]),
            (user(false), None, violation, ["refuses", "--nats-url", "give --nats-nkey-file"]),
            (user(true), None, violation, ["refuses", "--nats-url", "in the place of this program's key"]),
            (ClientIdentity::Token, None, violation, ["refuses", "the token", "--nats-url"]),
            (
                ClientIdentity::Anonymous,
                None,
                violation,
                ["wants a key", "give --nats-nkey-file", "--nats-password-file"],
            ),
            (key(KeyHolder::Server), None, violation, ["key UKEY", "bus.conf", "--nats-nkey-file"]),
            (key(KeyHolder::Node), None, violation, ["key UKEY", "barred", "edge join"]),
            (key(KeyHolder::Joiner), None, violation, ["key UKEY", "expired or was revoked", "node token list"]),
        ] {
            let status = trouble(url, identity, file);
            assert!(status.to_string().contains("no answer yet"), "{status}");
            status.note_event(&Event::ClientError(ClientError::Other(reason.to_owned())));
            let said = status.to_string();
            assert!(wanted.iter().all(|part| said.contains(part)) && !said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn a_nats_that_nobody_answers_is_told_from_one_that_is_not_there() {
        let unanswered = |identity: ClientIdentity| {
            let status = trouble("nats://h:4222", identity, None);
            // What the client library tells: the PING of nats-server passes for the end of the login.
            for event in
                [Event::Connected, Event::ServerError(ServerError::AuthorizationViolation), Event::Disconnected]
            {
                status.note_event(&event);
            }
            assert!(matches!(status.access(), NatsAccess::Refused(AccessRefusal::NoAnswer, _)), "{status}");
            status
        };
        for (identity, wanted) in [
            (key(KeyHolder::Joiner), ["no server of Headwater answers", "--bus-dir"]),
            (key(KeyHolder::Node), ["no server of Headwater answers", "--bus-dir"]),
            (user(false), ["give --nats-nkey-file", "relay.nk"]),
            (ClientIdentity::Anonymous, ["give --nats-nkey-file", "relay.nk"]),
        ] {
            let said = unanswered(identity).to_string();
            assert!(wanted.iter().all(|part| said.contains(part)) && !said.contains("Does NATS run there"), "{said}");
        }
        // The next attempt begins in the same way, and is no sign that somebody answers by now.
        let status = unanswered(key(KeyHolder::Node));
        status.note_event(&Event::Connected);
        assert!(matches!(status.access(), NatsAccess::Refused(AccessRefusal::NoAnswer, _)));
        status.last.lock().expect("not poisoned").connected = Instant::now().checked_sub(LET_IN_AFTER * 2);
        assert_eq!(status.access(), NatsAccess::LetIn);
        status.note_event(&Event::Disconnected);
        assert_eq!(status.access(), NatsAccess::Unknown, "it was let in before");
    }
}
