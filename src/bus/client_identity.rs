//! Who a client is for NATS, and what to do when that one is not let in.

use std::fmt;
use std::path::Path;

use crate::identity::KeyHolder;

/// What a program of the servers does where NATS has identities.
const GIVE_KEY: &str = "Where NATS runs with the bus.conf of `headwater bus init`, a program of the servers needs a key and no user: give \
                        --nats-nkey-file (HEADWATER_NATS_NKEY_FILE), such as relay.nk, and leave the user out of --nats-url";
/// What a program with a key does about a user that takes its place.
const USER_BEATS_KEY: &str = "The user in --nats-url is used in the place of this program's key: where NATS lets programs in by their \
                              keys, leave the user out of the URL";

/// The identity under which the client connects.
#[derive(Clone, Debug)]
pub(super) enum ClientIdentity {
    /// A user with a password.
    User {
        /// Its name.
        name: String,
        /// Whether the program has a key, too, which is not used because the URL names a user.
        has_key: bool,
    },
    /// The text of a public key.
    Key(String, KeyHolder),
    Token,
    Anonymous,
}

impl ClientIdentity {
    /// What to do about credentials that NATS refuses. The password is that of a file, if there is one.
    pub(super) fn advice_refused(&self, password_file: Option<&Path>) -> String {
        match self {
            Self::Key(_, KeyHolder::Node) => {
                "The server is there and does not let this key in, or no server of Headwater answers it at the moment. See \
                 whether the log knows the key (GET /v1/nodes/<id>, `headwater get nodes <id>`) and whether the node was barred; a node \
                 without keys there joins with a token (`headwater edge join`)"
                    .to_owned()
            }
            Self::Key(_, KeyHolder::Joiner) => {
                "The server is there and does not let this key in, which is that of the join token: it has expired or was revoked, or \
                 is of another log. `headwater node token list` shows it; ask an administrator for another one"
                    .to_owned()
            }
            Self::Key(_, KeyHolder::Server) => {
                "The server is there and does not let this key in: nats-server must run with the bus.conf of the folder that the key \
                 of --nats-nkey-file (HEADWATER_NATS_NKEY_FILE) is from"
                    .to_owned()
            }
            Self::Anonymous => format!(
                "The server is there and wants a key or a user. {GIVE_KEY}; where NATS has a user with a password, name it in \
                 --nats-url (HEADWATER_NATS_URL), nats://user@host:port, with --nats-password-file"
            ),
            Self::User { .. } | Self::Token => {
                let compared = match password_file {
                    Some(file) => format!(
                        "--nats-url (HEADWATER_NATS_URL) and the file {} of --nats-password-file",
                        file.display()
                    ),
                    None => "those in --nats-url (HEADWATER_NATS_URL)".to_owned(),
                };
                format!(
                    "The server is there and refuses the user or the password: compare {compared} with the users of NATS, and start \
                     this program again after a change. {}",
                    self.key_instead()
                )
            }
        }
    }

    /// How to come in by a key, for who comes with a user or a token.
    fn key_instead(&self) -> &'static str {
        match self {
            Self::User { has_key: true, .. } => USER_BEATS_KEY,
            _ => GIVE_KEY,
        }
    }

    /// What to do while no server of Headwater answers NATS.
    pub(super) fn advice_unanswered(&self) -> &'static str {
        match self {
            Self::Key(_, KeyHolder::Node | KeyHolder::Joiner) => {
                "NATS is there, and no server of Headwater answers it who may come in: is `headwater serve` running, with --bus-dir \
                 naming the folder of `headwater bus init` that the bus.conf of this NATS is from?"
            }
            Self::Key(_, KeyHolder::Server) => {
                "NATS is there and does not know this key itself: nats-server must run with the bus.conf of the folder that the key of \
                 --nats-nkey-file (HEADWATER_NATS_NKEY_FILE) is from"
            }
            Self::User { has_key: true, .. } => USER_BEATS_KEY,
            _ => GIVE_KEY,
        }
    }
}

impl fmt::Display for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User { name, .. } => write!(f, "user {name:?}"),
            Self::Key(key, _) => write!(f, "key {key}"),
            Self::Token => f.write_str("the holder of the token"),
            Self::Anonymous => f.write_str("an anonymous user"),
        }
    }
}
