//! Whether a connection is let in, and what it may do then: a pure function of the state of the log.

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
        let keys = state.nodes().get(node).and_then(|node| node.access.keys.as_deref());
        return match keys {
            Some(keys) if keys.bus == *key => Ok(Admitted::Node(node.clone())),
            _ => Err(Refused::SigningKey),
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

impl Admitted {
    /// The name of the connection in NATS.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Node(node) => node.to_string(),
            Self::Joiner(token) => format!("join {token}"),
            Self::Open => "open".to_owned(),
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
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use projections::request::{RequestContext, decide_request};
    use schema::command::{Command, CreateJoinToken, EnrolNode, JoinNode};
    use schema::entity::Actor;
    use schema::id::CommandId;
    use schema::node_keys::NodeKeys;
    use schema::request::Request;
    use schema::seal::SecretKey;
    use schema::target::Labels;

    use super::*;

    fn key(number: u8) -> KeyBytes {
        KeyBytes::from(&SecretKey::from_seed(&[number; 32]).public())
    }

    fn keys(number: u8) -> NodeKeys {
        NodeKeys { bus: key(number), say: key(number + 100) }
    }

    fn at(seconds: i64) -> Instant {
        Instant::from_unix_micros(seconds * 1_000_000)
    }

    /// The state after these commands, one a request and one a second.
    fn after(commands: &[Command]) -> Configuration {
        let log_id = uuid::Uuid::from_u128(7).into();
        let mut state = Configuration::default();
        for (second, command) in (1..).zip(commands) {
            let context = RequestContext {
                log_id,
                command_id: CommandId::derived(log_id, "test", &second.to_string()),
                actor: Actor::Install,
                entropy: [7; 16],
                clock: at(second),
            };
            state = decide_request(&state, &context, &Request::of([command.clone()])).unwrap().configuration;
        }
        state
    }

    fn enrol(node: &str, number: u8) -> Command {
        let (id, labels) = (node.parse().unwrap(), Labels::new());
        Command::EnrolNode(EnrolNode { id, labels, keys: Some(keys(number)) })
    }

    fn token(uses: u32) -> Command {
        let (id, node, labels) = ("t-1".parse().unwrap(), None, Labels::new());
        Command::CreateJoinToken(CreateJoinToken { id, key: key(50), node, labels, uses, for_s: 60 })
    }

    #[test]
    fn who_is_let_in_follows_from_the_log() {
        let node: NodeId = "n-1".parse().unwrap();
        let join = JoinNode { token: "t-1".parse().unwrap(), node: "n-2".parse().unwrap(), keys: keys(2) };
        let mut commands = vec![enrol("n-1", 1), token(1)];
        let state = after(&commands);
        assert_eq!(admit_key(&state, &key(1), at(9)), Ok(Admitted::Node(node.clone())));
        assert_eq!(admit_key(&state, &key(101), at(9)), Err(Refused::SigningKey));
        assert_eq!(admit_key(&state, &key(2), at(9)), Err(Refused::UnknownKey));
        assert_eq!(admit_key(&state, &key(50), at(62)), Ok(Admitted::Joiner("t-1".parse().unwrap())));
        assert_eq!(admit_key(&state, &key(50), at(63)), Err(Refused::EndedToken));
        commands.extend([Command::JoinNode(join), Command::BarNode(node.clone())]);
        let state = after(&commands);
        assert!(admit_key(&state, &key(50), at(9)).is_ok(), "the answer to the node that used it may have been lost");
        assert_eq!(admit_key(&state, &key(2), at(9)), Ok(Admitted::Node("n-2".parse().unwrap())));
        assert_eq!(admit_key(&state, &key(1), at(9)), Err(Refused::BarredKey));
        commands.extend([
            Command::RetireNode(node.clone()),
            enrol("n-1", 3),
            Command::RevokeJoinToken("t-1".parse().unwrap()),
        ]);
        let state = after(&commands);
        assert_eq!(admit_key(&state, &key(1), at(9)), Err(Refused::BarredKey), "whoever the node is now");
        assert_eq!(admit_key(&state, &key(3), at(9)), Ok(Admitted::Node(node.clone())));
        assert_eq!(admit_key(&state, &key(50), at(9)), Err(Refused::EndedToken));
        commands.extend([Command::RetireNode(node.clone()), Command::DismissNode(node)]);
        assert_eq!(admit_key(&after(&commands), &key(3), at(9)), Err(Refused::UnknownKey));
    }

    #[test]
    fn the_shared_password_opens_until_the_bus_is_closed_and_only_where_there_is_one() {
        let open = OpenPassword { user: "headwater".into(), password: "secret".into() };
        let (right, wrong) =
            (Credentials::Password("headwater", "secret"), Credentials::Password("headwater", "guess"));
        let state = after(&[]);
        assert_eq!(admit(&state, Some(&open), &right, at(1)), Ok(Admitted::Open));
        assert_eq!(admit(&state, Some(&open), &wrong, at(1)), Err(Refused::WrongPassword));
        assert_eq!(admit(&state, None, &right, at(1)), Err(Refused::WrongPassword));
        assert_eq!(admit(&state, Some(&open), &Credentials::None, at(1)), Err(Refused::NoCredentials));
        let closed = after(&[Command::CloseBus(uuid::Uuid::from_u128(7).into())]);
        assert_eq!(admit(&closed, Some(&open), &right, at(1)), Err(Refused::Closed));
    }
}
