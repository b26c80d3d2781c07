//! The desired record: the manifest of all files that a node must hold, signed by the server.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::{Digest, Hasher};
use crate::entity::Entity;
use crate::id::{CommandId, EventId, LogId, NodeId};
use crate::position::{Position, Version};
use crate::variant::UnknownVariantName;
use crate::wire::WireRecord;

/// A node's desired state: a manifest, and a pure function of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// The record's format.
    pub v: u16,
    /// Which log it follows from.
    pub log_id: LogId,
    /// Which node it is for.
    pub node: NodeId,
    /// The last event that names the node or changes something that selects it.
    pub position: Position,
    /// Digest of all entries: see [`digest_of`].
    pub digest: Digest,
    /// The position of the last `retry_node`, or 0.
    pub retry: Position,
    /// Whether the node takes part no more; then there are no entries.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub retired: bool,
    /// What it must hold, sorted by path.
    pub entries: Vec<Entry>,
    /// The event at `position`.
    pub cause: Cause,
}

impl WireRecord for Desired {
    const WHAT: &'static str = "desired record";
}

/// One file that a node must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Entry {
    /// Where: below `files/` for a document; from the generation's root for a job (`jobs/<id>.json`).
    pub path: String,
    /// What sort of file.
    pub kind: EntryKind,
    /// What its bytes are.
    pub media_type: String,
    /// How many they are.
    pub size: u64,
    /// Names them.
    pub digest: Digest,
    /// The bytes themselves where they are few; else they are the object named by the digest.
    #[serde(default, with = "serde_bytes", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "json-schema", schemars(skip))]
    pub inline: Option<Vec<u8>>,
    /// What it follows from.
    pub source: Source,
}

open_enum! {
    /// What sort of file an entry is. A node refuses a record with a sort that it does not know, and goes on running what it has.
    pub enum EntryKind {
        /// An administrator's document.
        Document = "document",
        /// A claimed job's spec.
        Job = "job",
    }
}

/// The entity that an entry follows from, as of its last event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Source {
    /// Which entity.
    pub entity: Entity,
    /// Its version.
    pub version: Version,
    /// Where that version was made.
    pub position: Position,
}

/// The event that a record follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Cause {
    /// Where in the log.
    pub position: Position,
    /// Which event.
    pub event_id: EventId,
    /// Which request.
    pub command_id: CommandId,
}

/// The digest of a manifest: SHA-256 over its entries, in order, of `u32be(len(path)) ‖ path ‖ entry digest`.
#[must_use]
pub fn digest_of<'a>(entries: impl IntoIterator<Item = (&'a str, Digest)>) -> Digest {
    let mut hasher = Hasher::default();
    for (path, digest) in entries {
        let length = u32::try_from(path.len()).expect("BUG: a path is far shorter than 4 GiB");
        hasher.update(&length.to_be_bytes());
        hasher.update(path.as_bytes());
        hasher.update(digest.as_bytes());
    }
    hasher.finish()
}

impl Desired {
    /// The digest that the entries have; a record whose `digest` differs is damaged.
    #[must_use]
    pub fn digest_of_entries(&self) -> Digest {
        digest_of(self.entries.iter().map(|entry| (entry.path.as_str(), entry.digest)))
    }
}
