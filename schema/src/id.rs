//! Ids: text that is safe as a NATS token, a file name and a URL segment at once, and UUIDs.

use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::invalid::InputError;
use crate::limit::ID_CHARS_MAX;
use crate::text_form;

/// An id: `[A-Za-z0-9][A-Za-z0-9_-]{0,63}`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(Arc<str>);

impl Id {
    /// The id's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Id {
    type Err = InputError;

    fn from_str(text: &str) -> Result<Self, InputError> {
        let tail = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let valid = text.len() <= ID_CHARS_MAX
            && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
            && text.bytes().all(tail);
        if !valid {
            let detail = format!("an id is 1 to {ID_CHARS_MAX} of A-Z a-z 0-9 _ - and starts with a letter or digit");
            return Err(InputError::new("invalid_id", detail));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_form::parsed(deserializer)
    }
}

/// A newtype over [`Id`] for one kind of entity, so that a node's id is never taken for a document's. The kinds are the rows
/// of `entities!`.
macro_rules! id_of {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Id);

        impl $name {
            /// The id's text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// The id without its kind.
            #[must_use]
            pub fn id(&self) -> &Id {
                &self.0
            }
        }

        impl Borrow<Id> for $name {
            fn borrow(&self) -> &Id {
                &self.0
            }
        }

        impl From<Id> for $name {
            fn from(id: Id) -> Self {
                Self(id)
            }
        }

        impl FromStr for $name {
            type Err = InputError;

            fn from_str(text: &str) -> Result<Self, InputError> {
                text.parse().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

pub(crate) use id_of;

pub use crate::entity::ids::*;

/// A UUID with a meaning, text on every wire.
macro_rules! uuid_of {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The UUID.
            #[must_use]
            pub const fn uuid(&self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl FromStr for $name {
            type Err = InputError;

            fn from_str(text: &str) -> Result<Self, InputError> {
                Uuid::try_parse(text).map(Self).map_err(|error| InputError::new("invalid_value", error.to_string()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.hyphenated(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                text_form::parsed(deserializer)
            }
        }
    };
}

uuid_of!(
    /// The identity of a log, made when it is installed. `(log_id, position)` is what the whole system compares.
    LogId
);
uuid_of!(
    /// The identity of a request; all its events carry it.
    CommandId
);
uuid_of!(
    /// The identity of an event.
    EventId
);

uuid_of!(
    /// The id that a node gives a proposal of its own. Two nodes may give the same one, so that in the log a proposal is known by
    /// [`ProposalId::derived`].
    ProposalUuid
);

impl CommandId {
    /// The command id of a request sent under an idempotency key: the same principal's same key is always the same
    /// command, in this log and no other. A UUID of version 8 (RFC 9562), from SHA-256.
    #[must_use]
    pub fn derived(log: LogId, principal: &str, key: &str) -> Self {
        let seed = crate::digest::Digest::of_parts([
            b"headwater/command".as_slice(),
            log.uuid().as_bytes(),
            &(principal.len() as u64).to_be_bytes(),
            principal.as_bytes(),
            key.as_bytes(),
        ]);
        Self(uuid::Builder::from_custom_bytes(first(seed)).into_uuid())
    }
}

impl JobId {
    /// The id of an attestation's job: the same after every rebuild, and after the attestation was removed and defined
    /// again. The text of a UUID of version 8 (RFC 9562), from SHA-256.
    #[must_use]
    pub fn derived(attestation: &AttestationId) -> Self {
        let seed = crate::digest::Digest::of_parts([b"headwater/job".as_slice(), attestation.as_str().as_bytes()]);
        Self::from(uuid_text(seed))
    }
}

impl ProposalId {
    /// The id under which the log knows a proposal of a node. The zero byte stands in no node's id, so that no two nodes can make
    /// the same id. The text of a UUID of version 8 (RFC 9562), from SHA-256.
    #[must_use]
    pub fn derived(node: &NodeId, uuid: ProposalUuid) -> Self {
        let seed = crate::digest::Digest::of_parts([
            b"headwater/proposal".as_slice(),
            node.as_str().as_bytes(),
            &[0],
            uuid.uuid().as_bytes(),
        ]);
        Self::from(uuid_text(seed))
    }
}

impl DocumentId {
    /// The id of the document that is made of a node's accepted proposals for a path. The zero byte stands in no node's id.
    #[must_use]
    pub fn of_proposals(node: &NodeId, path: &crate::path::DocumentPath) -> Self {
        let parts = [node.as_str().as_bytes(), &[0], path.as_str().as_bytes()];
        let digest = crate::digest::Digest::of_parts(parts).to_string();
        Self::from(Id(format!("proposed-{}", &digest[..32]).into()))
    }
}

impl EventId {
    /// The id of the event at `ordinal` of a command: a UUID of version 7 whose time is the event's and whose other
    /// bits follow from the command, so that deciding needs no randomness of its own.
    #[must_use]
    pub fn derived(command: CommandId, ordinal: u32, at: crate::instant::Instant) -> Self {
        let seed = crate::digest::Digest::of_parts([
            b"headwater/event".as_slice(),
            command.uuid().as_bytes(),
            &ordinal.to_be_bytes(),
        ]);
        Self(uuid::Builder::from_unix_timestamp_millis(at.unix_millis(), &first(seed)).into_uuid())
    }
}

/// The text of a UUID of version 8 that is made from a digest.
fn uuid_text(seed: crate::digest::Digest) -> Id {
    let uuid = uuid::Builder::from_custom_bytes(first(seed)).into_uuid();
    Id(uuid.hyphenated().to_string().into())
}

/// The first bytes of a digest.
fn first<const N: usize>(digest: crate::digest::Digest) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&digest.as_bytes()[..N]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instant::Instant;

    #[test]
    fn ids_match_the_published_pattern_and_nothing_else() {
        let longest = "a".repeat(ID_CHARS_MAX);
        for valid in ["a", "9", "node-1", "AC-2_1", longest.as_str()] {
            assert!(valid.parse::<Id>().is_ok(), "{valid}");
        }
        let too_long = "a".repeat(ID_CHARS_MAX + 1);
        for refused in ["", "-a", "_a", "a.b", "a/b", "a b", "ä", "a\0", too_long.as_str()] {
            assert_eq!(refused.parse::<Id>().map_err(|e| e.code), Err("invalid_id"), "{refused:?}");
        }
    }

    #[test]
    fn a_key_names_one_command_of_one_principal_in_one_log() {
        let log = LogId::from(Uuid::from_u128(7));
        let derived = CommandId::derived(log, "ann", "k");
        assert_eq!(derived, CommandId::derived(log, "ann", "k"));
        assert_ne!(derived, CommandId::derived(log, "an", "nk"));
        assert_ne!(derived, CommandId::derived(LogId::from(Uuid::from_u128(8)), "ann", "k"));
        assert_eq!(derived.uuid().get_version_num(), 8);
    }

    #[test]
    fn a_jobs_id_follows_from_its_attestation_and_is_an_id() {
        let derived = |id: &str| JobId::derived(&id.parse().expect("valid"));
        assert_eq!(derived("a"), derived("a"));
        assert_ne!(derived("a"), derived("b"));
        assert!(derived("a").as_str().parse::<Id>().is_ok());
    }

    #[test]
    fn proposals_of_two_nodes_never_have_one_id() {
        let node = |id: &str| id.parse::<NodeId>().expect("valid");
        let uuid = |number: u128| ProposalUuid::from(Uuid::from_u128(number));
        let derived = ProposalId::derived(&node("a"), uuid(1));
        assert_eq!(derived, ProposalId::derived(&node("a"), uuid(1)));
        assert!(derived.as_str().parse::<Id>().is_ok());
        assert_ne!(derived, ProposalId::derived(&node("b"), uuid(1)));
        assert_ne!(derived, ProposalId::derived(&node("a"), uuid(2)));
        let document = |id: &str, path: &str| DocumentId::of_proposals(&node(id), &path.parse().expect("valid"));
        assert_eq!(document("a", "b/c"), document("a", "b/c"));
        assert_eq!(document("a", "b/c").as_str().len(), "proposed-".len() + 32);
        for (one, other) in [(("a", "b/c"), ("a-b", "c")), (("a", "b/c"), ("a", "b-c")), (("a", "bc"), ("ab", "c"))] {
            assert_ne!(document(one.0, one.1), document(other.0, other.1), "{one:?} {other:?}");
        }
    }

    #[test]
    fn event_ids_are_version_7_and_differ_by_ordinal() {
        let command = CommandId::from(Uuid::from_u128(1));
        let at = Instant::from_unix_micros(1_700_000_000_123_456);
        let first = EventId::derived(command, 1, at);
        assert_eq!(first.uuid().get_version_num(), 7);
        assert_ne!(first, EventId::derived(command, 2, at));
    }
}
