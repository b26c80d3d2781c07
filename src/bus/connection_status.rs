//! Why NATS can't be reached, in words: what at which address refuses identity, what is tried next, and where to look.
//!
//! What always holds: no password and no token is shown. The client tries again for ever, also after a refusal, and says
//! nothing of it by itself; what is said here stands for that.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{ClientError, Event, Server, ServerAddr};
use tokio::sync::watch;
use tokio::time::timeout;

/// How long NATS may be away before it is said: a server that is just restarted is no news.
const SAY_AFTER: Duration = Duration::from_secs(2);
/// How often it is looked whether the reason is another one.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Looks after which the same reason is said again.
const LOOKS_BETWEEN: u32 = 12;

/// Whom NATS takes this client for.
#[derive(Clone, Debug)]
pub(super) enum ClientIdentity {
    User(String),
    /// Whoever has the token.
    Token,
    Anonymous,
}

/// Whom NATS is asked as, where, and what came of it last.
#[derive(Clone, Debug)]
pub(super) struct ConnectionStatus {
    identity: ClientIdentity,
    password_file: Option<PathBuf>,
    last: Arc<Mutex<LastErrors>>,
}

/// What the client said last.
#[derive(Debug, Default)]
struct LastErrors {
    /// Each server, and why it could not be had.
    servers: Vec<(String, Option<String>)>,
    /// The same where no server is named.
    otherwise: Option<String>,
}

impl ConnectionStatus {
    pub(super) fn of(servers: &[ServerAddr], identity: ClientIdentity, password_file: Option<&Path>) -> Self {
        let servers = servers.iter().map(|server| (shown(server), None)).collect();
        let last = Arc::new(Mutex::new(LastErrors { servers, otherwise: None }));
        Self { identity, password_file: password_file.map(Path::to_owned), last }
    }

    /// What became of the attempts so far at each server.
    pub(super) fn note_servers(&self, servers: &[Server]) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.servers = servers.iter().map(|server| (shown(&server.addr), server.last_error.clone())).collect();
    }

    /// What the client says of its connection.
    pub(super) fn hear(&self, event: &Event) {
        let otherwise = match event {
            Event::Connected => {
                tracing::info!(identity = %self.identity, "NATS is there");
                None
            }
            Event::Disconnected => {
                tracing::warn!(identity = %self.identity, "NATS is gone; connecting again");
                None
            }
            Event::ServerError(error) => return tracing::warn!(identity = %self.identity, %error, "NATS refuses"),
            Event::ClientError(ClientError::Other(why)) => Some(why.clone()),
            Event::ClientError(error) => Some(error.to_string()),
            other => return tracing::info!(event = %other, "NATS says"),
        };
        self.last.lock().unwrap_or_else(PoisonError::into_inner).otherwise = otherwise;
    }

    /// Says it whenever NATS is away for a while, until the client is gone. `connected` follows the connection.
    pub(super) async fn tell(self, mut connected: watch::Receiver<bool>) {
        while connected.wait_for(|is_up| !is_up).await.is_ok() {
            let (mut said, mut looks, mut pause) = (String::new(), 0, SAY_AFTER);
            loop {
                match timeout(pause, connected.wait_for(|is_up| *is_up)).await {
                    Ok(Ok(_)) => break,
                    Ok(Err(_)) => return,
                    Err(_) => {
                        let now = self.to_string();
                        if said != now || looks == LOOKS_BETWEEN {
                            tracing::warn!("{now}");
                            (said, looks) = (now, 0);
                        }
                        (looks, pause) = (looks + 1, LOOK_EVERY);
                    }
                }
            }
        }
    }
}

impl fmt::Display for ConnectionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let why = |why: &Option<String>| why.as_ref().or(last.otherwise.as_ref()).cloned();
        let servers: Vec<(&String, String)> = last
            .servers
            .iter()
            .map(|(server, reason)| (server, why(reason).unwrap_or_else(|| "no answer yet".to_owned())))
            .collect();
        let is_refused = servers.iter().any(|(_, why)| is_refusal(why));
        write!(f, "NATS can't be reached as {}: ", self.identity)?;
        for (number, (server, why)) in servers.iter().enumerate() {
            write!(f, "{}{server}: {why}", if number > 0 { "; " } else { "" })?;
        }
        f.write_str(". It is tried again all the time, at least every 5 s. ")?;
        match (is_refused, &self.password_file, &self.identity) {
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
            Self::Token => f.write_str("whoever has the token"),
            Self::Anonymous => f.write_str("nobody in particular"),
        }
    }
}

/// Whether a server that is there does not let this client in.
fn is_refusal(why: &str) -> bool {
    let why = why.to_lowercase();
    ["authorization", "authentication"].iter().any(|word| why.contains(word))
}

/// A server without what it is entered with.
fn shown(server: &ServerAddr) -> String {
    let (host, port) = (server.host(), server.port());
    if host.contains(':') { format!("nats://[{host}]:{port}") } else { format!("nats://{host}:{port}") }
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
            status.hear(&Event::ClientError(ClientError::Other(reason.to_owned())));
            let said = status.to_string();
            assert!(wanted.iter().all(|part| said.contains(part)) && !said.contains("secret"), "{said}");
        }
    }
}
