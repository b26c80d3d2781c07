//! Why NATS can't be reached: the error of each server, the identity, and what to check.
//!
//! Invariant: no password and no token is shown. The client library retries for ever, also after a refusal, without a log line of
//! its own.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_nats::{ClientError, Event, Server, ServerAddr};
use tls::handshake_fault::HandshakeFault;
use tokio::sync::watch;
use tokio::time::timeout;

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

/// The identity under which the client connects.
#[derive(Clone, Debug)]
pub(super) enum ClientIdentity {
    User(String),
    /// The public key.
    Key(String),
    Token,
    Anonymous,
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
    /// Since when NATS has refused each attempt.
    refused_since: Option<Instant>,
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
        let refused = last.servers.iter().all(|(_, why)| why.as_deref().is_some_and(is_refusal));
        last.refused_since = if refused { last.refused_since.or_else(|| Some(Instant::now())) } else { None };
    }

    /// For log lines.
    fn servers(&self) -> String {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.servers.iter().map(|(server, _)| server.as_str()).collect::<Vec<_>>().join(",")
    }

    /// Logs an event of the connection, and keeps its error.
    pub(super) fn note_event(&self, event: &Event) {
        let other = match event {
            Event::Connected => {
                tracing::info!(servers = self.servers(), identity = %self.identity, "connected to NATS");
                None
            }
            Event::Disconnected => {
                tracing::warn!(servers = self.servers(), identity = %self.identity, "connection to NATS lost; reconnecting");
                None
            }
            Event::ServerError(error) => {
                return tracing::warn!(identity = %self.identity, %error, "NATS reports an error");
            }
            Event::ClientError(ClientError::Other(why)) => Some(why.clone()),
            Event::ClientError(error) => Some(error.to_string()),
            other => return tracing::info!(event = %other, "event of the NATS connection"),
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if other.is_none() {
            last.refused_since = None;
        }
        last.other = other;
    }

    /// The longest pause before the next attempt: `usual`, unless NATS has refused every attempt for so long that it will hardly take
    /// the next. A refusal may also mean that nobody answers NATS at the moment.
    pub(super) fn longest_pause(&self, usual: Duration) -> Duration {
        let since = self.last.lock().unwrap_or_else(PoisonError::into_inner).refused_since;
        match since.map(|since| since.elapsed()) {
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
        let why = |why: &Option<String>| why.as_ref().or(last.other.as_ref()).cloned();
        let servers: Vec<(&String, String)> = last
            .servers
            .iter()
            .map(|(server, reason)| (server, why(reason).unwrap_or_else(|| "no answer yet".to_owned())))
            .collect();
        let fault = servers.iter().find_map(|(_, why)| HandshakeFault::of_text(why));
        let is_refused = servers.iter().any(|(_, why)| is_refusal(why));
        write!(f, "NATS can't be reached as {}: ", self.identity)?;
        for (number, (server, why)) in servers.iter().enumerate() {
            write!(f, "{}{server}: {why}", if number > 0 { "; " } else { "" })?;
        }
        f.write_str(match last.refused_since.is_some_and(|since| since.elapsed() > REFUSED_LONG) {
            true => ". It is tried again all the time, at least every 5 min. ",
            false => ". It is tried again all the time, at least every 5 s. ",
        })?;
        if let Some(fault) = fault {
            return write!(f, "TLS failed ({}): {}{}", fault.code(), fault.advice(CA_FLAG), first_word(fault));
        }
        match (is_refused, &self.password_file, &self.identity) {
            (true, _, ClientIdentity::Key(_)) => f.write_str(
                "The server is there and does not let this key in, or no server of Headwater answers it at the moment. See \
                 whether the log knows the key (GET /v1/nodes/<id>, `headwater get nodes <id>`) and whether the node was barred; a node \
                 without keys there joins with a token (`headwater edge join`)",
            ),
            (true, Some(file), _) => write!(
                f,
                "The server is there and refuses the user or the password: compare --nats-url (HEADWATER_NATS_URL) and the \
                 file {} of --nats-password-file with the users of NATS, and start this program again after a change",
                file.display()
            ),
            (true, None, ClientIdentity::Anonymous) => f.write_str(
                "The server is there and wants a user: name one in --nats-url (HEADWATER_NATS_URL), \
                 nats://user@host:port, with --nats-password-file",
            ),
            (true, None, _) => f.write_str(
                "The server is there and refuses the user or the password: compare those in --nats-url \
                 (HEADWATER_NATS_URL) with the users of NATS, and start this program again after a change",
            ),
            (false, ..) => {
                f.write_str("Does NATS run there? --nats-url (HEADWATER_NATS_URL) says where it is looked for")
            }
        }
    }
}

impl fmt::Display for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "user {user:?}"),
            Self::Key(key) => write!(f, "key {key}"),
            Self::Token => f.write_str("the holder of the token"),
            Self::Anonymous => f.write_str("an anonymous user"),
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
    use super::*;

    fn trouble(url: &str, identity: ClientIdentity, file: Option<&str>) -> ConnectionStatus {
        ConnectionStatus::of(&[url.parse().expect("an address")], identity, file.map(Path::new))
    }

    #[test]
    fn each_reason_names_address_user_and_where_to_look_and_no_password() {
        let url = "nats://ann:secret@[::1]:4222";
        let (ann, file, violation) = (ClientIdentity::User("ann".into()), Some("/etc/pw"), "authorization violation");
        for (identity, file, reason, wanted) in [
            (ann.clone(), None, "DNS error", ["nats://[::1]:4222: DNS error", "user \"ann\"", "--nats-url"]),
            (ann.clone(), file, violation, ["refuses", "user \"ann\"", "file /etc/pw"]),
            (ann, None, violation, ["refuses", "user \"ann\"", "--nats-url"]),
            (ClientIdentity::Token, None, violation, ["refuses", "the token", "--nats-url"]),
            (ClientIdentity::Anonymous, None, violation, ["wants a user", "nats://[::1]:4222", "--nats-password-file"]),
        ] {
            let status = trouble(url, identity, file);
            assert!(status.to_string().contains("no answer yet"), "{status}");
            status.note_event(&Event::ClientError(ClientError::Other(reason.to_owned())));
            let said = status.to_string();
            assert!(wanted.iter().all(|part| said.contains(part)) && !said.contains("secret"), "{said}");
        }
    }
}
