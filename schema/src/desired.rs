//! The desired record: the manifest of all files that a node must hold, signed by the server.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::{Digest, Hasher};
use crate::document_mode::DocumentMode;
use crate::entity::Entity;
use crate::id::{CommandId, EventId, LogId, NodeId};
use crate::position::{Position, Version};
use crate::variant::UnknownVariantName;
use crate::wire::WireRecord;

/// The desired state of one node: its files with their digests. It is a pure function of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// The format of the record: the oldest that can say what it says, see [`format_of`].
    pub v: u16,
    /// The id of the log that the record follows from.
    pub log_id: LogId,
    /// The node that the record is for.
    pub node: NodeId,
    /// The position of the last event that names the node or changes something that selects it.
    pub position: Position,
    /// Digest of all entries: see [`digest_of`].
    pub digest: Digest,
    /// The position of the last `retry_node`, or 0.
    pub retry: Position,
    /// Whether the node was retired; then there are no entries.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub retired: bool,
    /// The files that the node must hold, sorted by path.
    pub entries: Vec<Entry>,
    /// The event at `position`.
    pub cause: Cause,
}

/// Format 2 has entries with `mode`.
impl WireRecord for Desired {
    const WHAT: &'static str = "desired record";
    const NEWEST: u16 = 2;
}

/// Where a record stands: of all that a [`Desired`] says, what no format changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordPlace {
    /// The format of the record.
    pub v: u16,
    /// The id of the log that the record follows from.
    pub log_id: LogId,
    /// The position of the event that the record follows from.
    pub position: Position,
}

impl WireRecord for RecordPlace {
    const WHAT: &'static str = Desired::WHAT;
    const NEWEST: u16 = u16::MAX;
}

/// One file that a node must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Entry {
    /// The path: below `files/` for a document, from the root of the generation for a job (`jobs/<id>.json`).
    pub path: String,
    /// The sort of file.
    pub kind: EntryKind,
    /// The media type of the content.
    pub media_type: String,
    /// The size of the content in bytes.
    pub size: u64,
    /// SHA-256 of the content.
    pub digest: Digest,
    /// The content itself, if it is small and the record has room; else it is the object that the digest names.
    #[serde(default, with = "serde_bytes", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "json-schema", schemars(skip))]
    pub inline: Option<Vec<u8>>,
    /// The entity that the entry follows from.
    pub source: Source,
    /// The mode of the file; missing where it is `644`.
    #[serde(default, skip_serializing_if = "DocumentMode::is_plain")]
    #[cfg_attr(feature = "json-schema", schemars(default))]
    pub mode: DocumentMode,
}

open_enum! {
    /// What sort of file an entry is. A node refuses a record with a sort that it does not know, and goes on running what it has.
    pub enum EntryKind {
        /// An administrator's document.
        Document = "document",
        /// The spec of a job that the node holds.
        Job = "job",
    }
}

/// The entity that an entry follows from, as of its last event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Source {
    /// The entity.
    pub entity: Entity,
    /// The version of the entity.
    pub version: Version,
    /// The position of the event that made that version.
    pub position: Position,
}

/// The event that a record follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Cause {
    /// The position of the event.
    pub position: Position,
    /// The id of the event.
    pub event_id: EventId,
    /// The id of the request that the event belongs to.
    pub command_id: CommandId,
}

/// What the digest of a manifest follows from: the path, the digest and the mode of each of its files.
pub type DigestedEntry<'a> = (&'a str, Digest, DocumentMode);

/// The digest of a manifest: SHA-256 over its entries, in order, of `u32be(len(path)) ‖ path ‖ entry digest`, and then a byte 1 if the file is
/// executable. The next entry begins with a byte 0, because no path has 16 MiB, so that the end of each entry is certain.
#[must_use]
pub fn digest_of<'a>(entries: impl IntoIterator<Item = DigestedEntry<'a>>) -> Digest {
    let mut hasher = Hasher::default();
    for (path, digest, mode) in entries {
        let length = u32::try_from(path.len()).expect("BUG: a path is far shorter than 4 GiB");
        hasher.update(&length.to_be_bytes());
        hasher.update(path.as_bytes());
        hasher.update(digest.as_bytes());
        if mode == DocumentMode::Executable {
            hasher.update(&[1]);
        }
    }
    hasher.finish()
}

/// The format of a record with files of these modes: the oldest that can say them, so that nodes of before go on.
#[must_use]
pub fn format_of(modes: impl IntoIterator<Item = DocumentMode>) -> u16 {
    if modes.into_iter().all(|mode| mode.is_plain()) { 1 } else { 2 }
}

impl Entry {
    /// What the digest of a manifest with this entry follows from.
    #[must_use]
    pub fn digested(&self) -> DigestedEntry<'_> {
        (&self.path, self.digest, self.mode)
    }
}

impl Desired {
    /// The digest computed from the entries; a record whose `digest` differs from it is damaged.
    #[must_use]
    pub fn digest_of_entries(&self) -> Digest {
        digest_of(self.entries.iter().map(Entry::digested))
    }
}
