//! Names in NATS and PostgreSQL: every subject, bucket, key, object, role, slot and publication name.

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;

use crate::event::Event;
use crate::id::NodeId;
use crate::invalid::InputError;
use crate::object::ObjectName;
use crate::position::Position;
use crate::rpc::RpcVerb;

/// The role that appends and reads. It can change neither events nor blobs.
pub const APP_ROLE: &str = "headwater_app";
/// The role that holds the replication slot.
pub const RELAY_ROLE: &str = "headwater_relay";
/// The role that only reads.
pub const READER_ROLE: &str = "headwater_reader";
/// The publication of table `event`.
pub const PUBLICATION: &str = "headwater";
/// The name under which the reconciler's answers are found among the micro services of NATS.
pub const SERVICE: &str = "headwater";
/// The key of the newest checkpoint in its bucket.
pub const NEWEST_CHECKPOINT: &str = "newest";
/// The header of a stray message: the subject on which it was published.
pub const STRAY_SUBJECT: &str = "Headwater-Subject";
/// The header of a stray message: when NATS stored it.
pub const STRAY_TIME: &str = "Headwater-Time";
/// The header of a stray message: its size in bytes. Only the first bytes of a large message are kept.
pub const STRAY_BYTES: &str = "Headwater-Bytes";
/// The prefix of heartbeat messages in the write-ahead log.
pub const HEARTBEAT: &str = "headwater.heartbeat";

/// The replication slot's name for a database. Slots belong to the whole cluster, so the name contains the database.
#[must_use]
pub fn slot(database: &str) -> String {
    let plain = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '_' };
    let mut name: String = "headwater_".chars().chain(database.chars().map(plain)).collect();
    name.truncate(63);
    name
}

/// The prefix of all names in NATS: lower-case letters, digits and `_`; `cfg` by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

impl Default for Prefix {
    fn default() -> Self {
        Self("cfg".into())
    }
}

impl FromStr for Prefix {
    type Err = InputError;

    fn from_str(text: &str) -> Result<Self, InputError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if text.is_empty() || text.len() > 32 || !text.bytes().all(plain) {
            return Err(InputError::new("invalid_value", "a prefix is 1 to 32 of a-z 0-9 _"));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key-value buckets, each with its one writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bucket {
    /// Key `<node>`: its signed desired record. Written by the server.
    Desired,
    /// Key `<node>`: its report. Written by the node.
    Reported,
    /// Key `<node>.<proposal>`. Written by the node.
    Proposed,
    /// Key `<node>.<proposal>`. Written by the server.
    Verdict,
    /// Key `<key_id>` in hex: a public key. Written by the server.
    Keys,
    /// Key [`NEWEST_CHECKPOINT`]: the signed note. Written by the server.
    Checkpoint,
}

impl Bucket {
    /// Every bucket.
    pub const ALL: [Self; 6] =
        [Self::Desired, Self::Reported, Self::Proposed, Self::Verdict, Self::Keys, Self::Checkpoint];

    /// Whether nodes write to the bucket. Such a bucket refuses roll-up headers, or one node could erase the keys of all others.
    #[must_use]
    pub const fn written_by_nodes(self) -> bool {
        matches!(self, Self::Reported | Self::Proposed)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Desired => "desired",
            Self::Reported => "reported",
            Self::Proposed => "proposed",
            Self::Verdict => "verdict",
            Self::Keys => "keys",
            Self::Checkpoint => "checkpoint",
        }
    }
}

impl Prefix {
    /// The stream that holds each event at sequence = position.
    #[must_use]
    pub fn event_stream(&self) -> String {
        format!("{self}_events")
    }

    /// All subjects of that stream.
    #[must_use]
    pub fn event_subjects(&self) -> String {
        format!("{self}.events.>")
    }

    /// An event's subject: `<prefix>.events.<kind>.<id>.<event type>`.
    #[must_use]
    pub fn event_subject(&self, event: &Event) -> String {
        format!("{self}.events.{}.{}.{}", event.entity.kind.name(), event.entity.id, event.event_type)
    }

    /// The stream of stray messages: those that another writer put on the event stream, or that an operator moved aside.
    #[must_use]
    pub fn stray_stream(&self) -> String {
        format!("{self}_strays")
    }

    /// All subjects of that stream.
    #[must_use]
    pub fn stray_subjects(&self) -> String {
        format!("{self}.strays.>")
    }

    /// The subject of the stray message that stood at a sequence of the event stream.
    #[must_use]
    pub fn stray_subject(&self, sequence: Position) -> String {
        format!("{self}.strays.{sequence}")
    }

    /// A bucket's name.
    #[must_use]
    pub fn bucket(&self, bucket: Bucket) -> String {
        format!("{self}_{}", bucket.name())
    }

    /// The stream behind a bucket.
    #[must_use]
    pub fn bucket_stream(&self, bucket: Bucket) -> String {
        format!("KV_{}", self.bucket(bucket))
    }

    /// All subjects of a bucket.
    #[must_use]
    pub fn bucket_subjects(&self, bucket: Bucket) -> String {
        format!("$KV.{}.>", self.bucket(bucket))
    }

    /// The subject of one key of a bucket.
    #[must_use]
    pub fn bucket_subject(&self, bucket: Bucket, key: &str) -> String {
        format!("$KV.{}.{key}", self.bucket(bucket))
    }

    /// The object store of content: see [`crate::object`].
    #[must_use]
    pub fn blobs(&self) -> String {
        format!("{self}_blobs")
    }

    /// The stream behind the object store.
    #[must_use]
    pub fn blob_stream(&self) -> String {
        format!("OBJ_{}", self.blobs())
    }

    /// The two kinds of subjects of the object store: chunks and meta.
    #[must_use]
    pub fn blob_subjects(&self) -> [String; 2] {
        [format!("$O.{}.C.>", self.blobs()), format!("$O.{}.M.>", self.blobs())]
    }

    /// The subject that holds an object's meta.
    #[must_use]
    pub fn blob_meta_subject(&self, name: ObjectName) -> String {
        format!("$O.{}.M.{}", self.blobs(), URL_SAFE.encode(format!("{name}")))
    }

    /// The object whose meta this subject holds; `None` if no program of Headwater puts an object there.
    #[must_use]
    pub fn parse_blob_meta_subject(&self, subject: &str) -> Option<ObjectName> {
        let name = subject.strip_prefix(&format!("$O.{}.M.", self.blobs()))?;
        core::str::from_utf8(&URL_SAFE.decode(name).ok()?).ok()?.parse().ok()
    }

    /// The subject that holds the chunks of the object with this NUID.
    #[must_use]
    pub fn blob_chunk_subject(&self, nuid: &str) -> String {
        format!("$O.{}.C.{nuid}", self.blobs())
    }

    /// The subject of a node's requests of one verb.
    #[must_use]
    pub fn rpc_subject(&self, node: &NodeId, verb: RpcVerb) -> String {
        format!("{self}.rpc.{node}.{}", verb.name())
    }

    /// The wildcard subject of all nodes' requests of one verb.
    #[must_use]
    pub fn rpc_subjects(&self, verb: RpcVerb) -> String {
        format!("{self}.rpc.*.{}", verb.name())
    }

    /// The node and the verb of a request's subject; `None` if no node can publish to it.
    #[must_use]
    pub fn parse_rpc_subject(&self, subject: &str) -> Option<(NodeId, RpcVerb)> {
        let (node, verb) = subject.strip_prefix(&self.0)?.strip_prefix(".rpc.")?.split_once('.')?;
        Some((node.parse().ok()?, RpcVerb::ALL.into_iter().find(|known| known.name() == verb)?))
    }
}

/// Whether a reply may be sent to this subject. NATS does not check a request's reply subject, and the server may publish
/// everywhere: a reply to another subject would be an event, a record or a command to JetStream. Only inboxes are allowed, and what
/// NATS puts in the place of the reply subject of a request from another account.
#[must_use]
pub fn is_inbox(subject: &str) -> bool {
    ["_INBOX.", "_INBOX_", "_R_."].iter().any(|inbox| subject.starts_with(inbox))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn names_are_the_published_ones() {
        let prefix = Prefix::default();
        assert_eq!(prefix.event_stream(), "cfg_events");
        assert_eq!(prefix.bucket(Bucket::Desired), "cfg_desired");
        assert_eq!(prefix.bucket_subject(Bucket::Reported, "n-1"), "$KV.cfg_reported.n-1");
        assert_eq!(prefix.blob_stream(), "OBJ_cfg_blobs");
        for name in [ObjectName::Plain(Digest::OF_NOTHING), ObjectName::Sealed([7; 32])] {
            assert_eq!(prefix.parse_blob_meta_subject(&prefix.blob_meta_subject(name)), Some(name));
        }
        for none in ["$O.cfg_blobs.C.x", "$O.cfg_blobs.M.x", "$O.cfg_blobs.M.eA==", "$O.other_blobs.M.eA=="] {
            assert_eq!(prefix.parse_blob_meta_subject(none), None, "{none}");
        }
        let node: NodeId = "n-1".parse().expect("valid");
        assert_eq!(prefix.rpc_subject(&node, RpcVerb::ListClaims), "cfg.rpc.n-1.mine");
        for verb in RpcVerb::ALL {
            assert_eq!(prefix.parse_rpc_subject(&prefix.rpc_subject(&node, verb)), Some((node.clone(), verb)));
        }
        for none in ["cfg.rpc.n-1", "cfg.rpc.n-1.mine.x", "cfg.rpc..mine", "cfg.rpc.n-1.drop", "cfgx.rpc.n-1.mine"] {
            assert_eq!(prefix.parse_rpc_subject(none), None, "{none}");
        }
    }

    #[test]
    fn a_reply_goes_to_an_inbox_and_nowhere_else() {
        assert!(is_inbox("_INBOX.x.y") && is_inbox("_INBOX_n-1.x") && is_inbox("_R_.x.y"));
        for other in ["$KV.cfg_desired.n-2", "$JS.API.STREAM.DELETE.cfg_events", "cfg.events.x", "_INBOX", ""] {
            assert!(!is_inbox(other), "{other}");
        }
    }

    #[test]
    fn a_slots_name_is_one_that_postgres_takes() {
        assert_eq!(slot("Fleet-7"), "headwater__leet_7");
        assert_eq!(slot(&"x".repeat(80)).len(), 63);
    }
}
