//! Whether a connection is let in, and what it may do then: a pure function of the state of the log.

use bus::nkey::KeyKind;
use projections::configuration::Configuration;
use projections::identities::JoinTokenState;
use schema::address::Prefix;
use schema::id::{JoinTokenId, NodeId};
use schema::instant::Instant;
use schema::node_keys::KeyBytes;
use schema::permissions::Permissions;

/// The password that nodes without keys share.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenPassword {
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
}

/// What a client proves to nats-server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// It has the secret half of this key: its signature was verified.
    Key(KeyBytes),
    /// It knows this user and password.
    Password(&'a str, &'a str),
    /// Nothing.
    None,
}

impl Credentials<'_> {
    /// The key that was proved.
    #[must_use]
    pub fn key(&self) -> Option<&KeyBytes> {
        match self {
            Self::Key(key) => Some(key),
            Self::Password(..) | Self::None => None,
        }
    }
}

/// Who is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// The node of a key.
    Node(NodeId),
    /// Whoever holds a join token.
    Joiner(JoinTokenId),
    /// A node without keys.
    Open,
}

/// Why nobody is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The client proves nothing.
    #[error("no credentials")]
    NoCredentials,
    /// No node and no token has this key.
    #[error("unknown key")]
    UnknownKey,
    /// The key was that of a node that was barred.
    #[error("barred key")]
    BarredKey,
    /// The key is one that signs, not one that connects.
    #[error("not a key to connect with")]
    SigningKey,
    /// The token lets nobody in any more.
    #[error("ended token")]
    EndedToken,
    /// An administrator ended the use of the password.
    #[error("the bus is closed")]
    Closed,
    /// Another password.
    #[error("wrong password")]
    WrongPassword,
}

impl Refused {
    /// For a metric.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoCredentials => "no_credentials",
            Self::UnknownKey => "unknown_key",
            Self::BarredKey => "barred_key",
            Self::SigningKey => "signing_key",
            Self::EndedToken => "ended_token",
            Self::Closed => "bus_closed",
            Self::WrongPassword => "wrong_password",
        }
    }
}

/// Decides. `now` is compared with the end of a token; the join itself is judged again, at the head of the log.
///
/// # Errors
/// With the reason why the client is not let in.
pub fn admit(
    state: &Configuration,
    open: Option<&OpenPassword>,
    credentials: &Credentials<'_>,
    now: Instant,
) -> Result<Admitted, Refused> {
    match credentials {
        Credentials::None => Err(Refused::NoCredentials),
        Credentials::Password(user, password) => match open {
            _ if state.identities().is_closed() => Err(Refused::Closed),
            Some(open) if open.user == *user && open.password == *password => Ok(Admitted::Open),
            _ => Err(Refused::WrongPassword),
        },
        Credentials::Key(key) => admit_key(state, key, now),
    }
}

/// Whether the key of a connection is still let in.
///
/// # Errors
/// With the reason why it is not.
pub fn admit_key(state: &Configuration, key: &KeyBytes, now: Instant) -> Result<Admitted, Refused> {
    let identities = state.identities();
    if let Some(node) = identities.node_of(key) {
        return match identities.is_for_connecting(key) {
            true => Ok(Admitted::Node(node.clone())),
            false => Err(Refused::SigningKey),
        };
    }
    match identities.token_of(key) {
        // One that is used up still answers the nodes that it let in: their first answer may have been lost.
        Some((id, token)) => match token.state(now) {
            JoinTokenState::Open | JoinTokenState::Used => Ok(Admitted::Joiner(id.clone())),
            JoinTokenState::Expired | JoinTokenState::Revoked => Err(Refused::EndedToken),
        },
        None if identities.is_barred(key) => Err(Refused::BarredKey),
        None => Err(Refused::UnknownKey),
    }
}

/// Whether a connection with this name would be let in now as what it was let in. A key may have got to another node since.
#[must_use]
pub fn is_still_admitted(state: &Configuration, connection_name: &str, now: Instant) -> bool {
    let key = connection_name.rsplit(' ').next().and_then(|text| KeyKind::User.read_public(text));
    match key {
        Some(key) => {
            admit_key(state, &key, now).is_ok_and(|admitted| admitted.connection_name(Some(&key)) == connection_name)
        }
        None => !state.identities().is_closed(),
    }
}

impl Admitted {
    /// A name for people.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Node(node) => node.to_string(),
            Self::Joiner(token) => format!("join {token}"),
            Self::Open => "open".to_owned(),
        }
    }

    /// The name of the connection in NATS. It ends with the client's key, if it has one: by this name the connection is judged later.
    #[must_use]
    pub fn connection_name(&self, key: Option<&KeyBytes>) -> String {
        match key {
            Some(key) => format!("{} {}", self.name(), KeyKind::User.public(key)),
            None => self.name(),
        }
    }

    /// What it may publish and hear.
    #[must_use]
    pub fn permissions(&self, prefix: &Prefix) -> Permissions {
        match self {
            Self::Node(node) => prefix.node_permissions(node),
            Self::Joiner(token) => prefix.joiner_permissions(token),
            Self::Open => prefix.open_permissions(),
        }
    }
}

impl std::fmt::Debug for OpenPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenPassword").field("user", &self.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
