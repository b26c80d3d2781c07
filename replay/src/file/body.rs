//! The bodies of blocks: one MessagePack map with named members for each block.
//!
//! Readers ignore unknown members and columns. A block of events has the names of its columns once, and then the rows.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::{fmt, mem};

use serde::de::{Error as _, IgnoredAny, SeqAccess, Visitor};
use serde::ser::SerializeTuple as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::Bytes;
use uuid::Uuid;

use schema::digest::Digest;
use schema::entity::Entity;
use schema::event::Event;
use schema::id::LogId;
use schema::instant::Instant;
use schema::position::Position;

use super::ExportError;

/// The first block: which log this is a part of, and which part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportHeader {
    /// The id of the log.
    pub log_id: LogId,
    /// The public key of its checkpoints, as the file states it.
    #[serde(with = "serde_bytes")]
    pub public_key: [u8; 32],
    /// The position of the first event.
    pub from: Position,
    /// The position of the last event; one less than `from` if the part has none.
    pub to: Position,
    /// The right edge of the tree over the events before `from`: the roots of its complete subtrees, largest first.
    #[serde(rename = "edge")]
    pub frontier: Vec<Digest>,
}

/// A content with its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob<'a> {
    /// SHA-256 of the bytes, as the file states it.
    pub digest: Digest,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// The columns of an event, in the order of its row.
pub const COLUMNS: [&str; 14] = [
    "v",
    "position",
    "event_id",
    "command_id",
    "ordinal",
    "count",
    "entity",
    "version",
    "type",
    "actor",
    "reason",
    "at",
    "data",
    "leaf",
];

/// MessagePack's maps of one and of two members.
const MAP_OF_1: &[u8] = &[0x81];
const MAP_OF_2: &[u8] = &[0x82];

/// An event as its row has it: nothing of it is read yet, so that what can't be read is carried, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportRow<'a> {
    /// The format of `data`.
    pub v: u16,
    /// The place of the event in the log.
    pub position: u64,
    /// The id of the event.
    pub event_id: [u8; 16],
    /// The id of its request.
    pub command_id: [u8; 16],
    /// The place of the event in its request, from 1.
    pub ordinal: u32,
    /// The number of events in the request.
    pub count: u32,
    /// The entity, as text.
    pub entity: &'a str,
    /// The version of the entity with this event.
    pub version: u64,
    /// The type, by name.
    pub event_type: &'a str,
    /// The actor, as text.
    pub actor: &'a str,
    /// The reason; empty where the request has none, which the leaf does not distinguish.
    pub reason: &'a str,
    /// The time in microseconds since 1970.
    pub at: i64,
    /// The change as JSON text, byte for byte.
    pub data: &'a str,
    /// SHA-256 over the other columns, 32 bytes.
    pub leaf: [u8; 32],
}

impl<'a> ExportRow<'a> {
    /// The row of an event; `texts` keeps its entity and actor as text.
    #[must_use]
    pub fn of(event: &'a Event, texts: &'a (String, String)) -> Self {
        Self {
            v: event.v,
            position: event.position.get(),
            event_id: event.event_id.uuid().into_bytes(),
            command_id: event.command_id.uuid().into_bytes(),
            ordinal: event.ordinal,
            count: event.count,
            entity: &texts.0,
            version: event.version.get(),
            event_type: &event.event_type,
            actor: &texts.1,
            reason: event.reason.as_deref().unwrap_or_default(),
            at: event.at.unix_micros(),
            data: &event.data,
            leaf: *event.leaf.as_bytes(),
        }
    }

    /// The event.
    ///
    /// # Errors
    /// The reason, if its entity or its actor is not valid.
    pub fn event(&self, log_id: LogId) -> Result<Event, String> {
        Ok(Event {
            v: self.v,
            log_id,
            position: self.position.into(),
            event_id: Uuid::from_bytes(self.event_id).into(),
            command_id: Uuid::from_bytes(self.command_id).into(),
            ordinal: self.ordinal,
            count: self.count,
            entity: Entity::of_any_kind(self.entity).map_err(|error| alloc::format!("{error}"))?,
            version: self.version.into(),
            event_type: self.event_type.to_string(),
            actor: self.actor.parse().map_err(|error| alloc::format!("{error}"))?,
            reason: (!self.reason.is_empty()).then(|| self.reason.to_string()),
            at: Instant::from_unix_micros(self.at),
            data: self.data.to_string(),
            leaf: Digest::from_bytes(self.leaf),
        })
    }
}

/// The texts that [`ExportRow::of`] borrows.
#[must_use]
pub fn texts(event: &Event) -> (String, String) {
    (event.entity.to_string(), event.actor.to_string())
}

impl Serialize for ExportRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_tuple(COLUMNS.len())?;
        row.serialize_element(&self.v)?;
        row.serialize_element(&self.position)?;
        row.serialize_element(Bytes::new(&self.event_id))?;
        row.serialize_element(Bytes::new(&self.command_id))?;
        row.serialize_element(&self.ordinal)?;
        row.serialize_element(&self.count)?;
        row.serialize_element(self.entity)?;
        row.serialize_element(&self.version)?;
        row.serialize_element(self.event_type)?;
        row.serialize_element(self.actor)?;
        row.serialize_element(self.reason)?;
        row.serialize_element(&self.at)?;
        row.serialize_element(self.data)?;
        row.serialize_element(Bytes::new(&self.leaf))?;
        row.end()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for ExportRow<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Columns)
    }
}

struct Columns;

impl<'de> Visitor<'de> for Columns {
    type Value = ExportRow<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} columns of an event", COLUMNS.len())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut row: A) -> Result<ExportRow<'de>, A::Error> {
        let row_of = ExportRow {
            v: next(&mut row)?,
            position: next(&mut row)?,
            event_id: fixed(&mut row)?,
            command_id: fixed(&mut row)?,
            ordinal: next(&mut row)?,
            count: next(&mut row)?,
            entity: next(&mut row)?,
            version: next(&mut row)?,
            event_type: next(&mut row)?,
            actor: next(&mut row)?,
            reason: next(&mut row)?,
            at: next(&mut row)?,
            data: next(&mut row)?,
            leaf: fixed(&mut row)?,
        };
        while row.next_element::<IgnoredAny>()?.is_some() {}
        Ok(row_of)
    }
}

fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(row: &mut A) -> Result<T, A::Error> {
    row.next_element()?.ok_or_else(|| A::Error::custom("a row with too few columns"))
}

fn fixed<'de, const N: usize, A: SeqAccess<'de>>(row: &mut A) -> Result<[u8; N], A::Error> {
    let bytes: &[u8] = next::<&Bytes, A>(row)?;
    bytes.try_into().map_err(|_| A::Error::custom(format_args!("{N} bytes were expected, not {}", bytes.len())))
}

/// A block of events.
#[derive(Deserialize)]
struct Events<'a> {
    #[serde(borrow, deserialize_with = "few::<_, { COLUMNS_MAX }>")]
    columns: Vec<&'a str>,
    #[serde(borrow)]
    rows: Vec<ExportRow<'a>>,
}

/// A block of blobs.
#[derive(Deserialize)]
struct Blobs<'a> {
    #[serde(borrow)]
    blobs: Vec<Blob<'a>>,
}

/// A block of checkpoints.
#[derive(Deserialize)]
struct Checkpoints<'a> {
    #[serde(borrow, deserialize_with = "few::<_, { NOTES_MAX }>")]
    notes: Vec<&'a str>,
}

/// Columns of a block at most: the known ones, and room for many more.
const COLUMNS_MAX: usize = 256;
/// Checkpoints of a block at most: some times as many as fit into one.
const NOTES_MAX: usize = 65_536;

/// Not more texts than `MAX`: a block of empty ones would unpack to many times its size.
fn few<'de, D: Deserializer<'de>, const MAX: usize>(deserializer: D) -> Result<Vec<&'de str>, D::Error> {
    struct Few<const MAX: usize>;
    impl<'de, const MAX: usize> Visitor<'de> for Few<MAX> {
        type Value = Vec<&'de str>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {MAX} texts")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<Self::Value, A::Error> {
            let mut found = Vec::new();
            while let Some(text) = texts.next_element()? {
                if found.len() == MAX {
                    return Err(A::Error::invalid_length(MAX + 1, &self));
                }
                found.push(text);
            }
            Ok(found)
        }
    }
    deserializer.deserialize_seq(Few::<MAX>)
}

/// The raw bytes of a block whose items come one by one.
#[derive(Debug)]
pub struct BlockBuilder {
    head: Vec<u8>,
    items: Vec<u8>,
    count: u32,
}

impl BlockBuilder {
    /// Events, as rows.
    #[must_use]
    pub fn events() -> Self {
        Self::new(&[MAP_OF_2, &packed("columns"), &packed(&COLUMNS), &packed("rows")])
    }

    /// Blobs.
    #[must_use]
    pub fn blobs() -> Self {
        Self::new(&[MAP_OF_1, &packed("blobs")])
    }

    /// Checkpoints, as the text of their notes.
    #[must_use]
    pub fn checkpoints() -> Self {
        Self::new(&[MAP_OF_1, &packed("notes")])
    }

    fn new(head: &[&[u8]]) -> Self {
        Self { head: head.concat(), items: Vec::new(), count: 0 }
    }

    /// Adds the next item.
    pub fn push(&mut self, item: &(impl Serialize + ?Sized)) {
        rmp_serde::encode::write_named(&mut self.items, item).expect("BUG: an item has no failing serializer");
        self.count += 1;
    }

    /// The size of the items so far, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.items.len()
    }

    /// The raw bytes; the list is empty afterwards. Nothing if it was.
    pub fn take(&mut self) -> Option<Vec<u8>> {
        let length = match mem::take(&mut self.count) {
            0 => return None,
            few @ ..16 => [0x90 | few.to_be_bytes()[3]].to_vec(),
            some @ ..0x1_0000 => [&[0xdc], &some.to_be_bytes()[2..]].concat(),
            many => [&[0xdd], &many.to_be_bytes()[..]].concat(),
        };
        let raw = [&self.head, &length, &self.items].map(Vec::as_slice).concat();
        self.items.clear();
        Some(raw)
    }
}

impl Serialize for Blob<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut blob = serializer.serialize_tuple(2)?;
        blob.serialize_element(&self.digest)?;
        blob.serialize_element(Bytes::new(self.bytes))?;
        blob.end()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Blob<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (digest, bytes): (Digest, &Bytes) = Deserialize::deserialize(deserializer)?;
        Ok(Self { digest, bytes })
    }
}

impl ExportHeader {
    /// The header's raw bytes.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        packed(self)
    }

    /// Reads a header.
    ///
    /// # Errors
    /// If the bytes are no header.
    pub fn read(raw: &[u8]) -> Result<Self, ExportError> {
        read(raw, "a header")
    }
}

/// The events of a block.
///
/// # Errors
/// If they are none.
pub fn read_events(raw: &[u8]) -> Result<Vec<ExportRow<'_>>, ExportError> {
    let events: Events<'_> = read(raw, "events")?;
    match events.columns.starts_with(&COLUMNS) {
        true => Ok(events.rows),
        false => Err(ExportError::Shape { what: "events", why: "their columns are not those of events".into() }),
    }
}

/// The blobs of a block.
///
/// # Errors
/// If they are none.
pub fn read_blobs(raw: &[u8]) -> Result<Vec<Blob<'_>>, ExportError> {
    read::<Blobs<'_>>(raw, "blobs").map(|block| block.blobs)
}

/// The checkpoints of a block: signed notes.
///
/// # Errors
/// If they are none.
pub fn read_checkpoints(raw: &[u8]) -> Result<Vec<&str>, ExportError> {
    read::<Checkpoints<'_>>(raw, "checkpoints").map(|block| block.notes)
}

fn packed(body: &(impl Serialize + ?Sized)) -> Vec<u8> {
    rmp_serde::to_vec_named(body).expect("BUG: a body has text keys and no failing serializer")
}

fn read<'a, T: Deserialize<'a>>(raw: &'a [u8], what: &'static str) -> Result<T, ExportError> {
    schema::wire::whole(raw).map_err(|error| ExportError::Shape { what, why: error.to_string() })
}
