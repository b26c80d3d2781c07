//! Checks of a single block, which need no other block and run in any order on any thread.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use schema::digest::Digest;
use schema::entity::Kind;
use schema::event::Event;
use schema::id::LogId;

use crate::event_error::EventError;
use crate::file::ExportError;
use crate::file::block::BlockKind;
use crate::file::body::{read_blobs, read_checkpoints, read_events};
use crate::log::OpenedEvent;

/// A block after the checks that need no other block.
#[derive(Debug)]
pub enum PreparedBlock {
    /// Contents, each with the digest that the file states and the one of its bytes.
    Blobs(Vec<HashedContent>),
    /// Events.
    Events(Vec<Result<OpenedEvent, UnusableEvent>>),
    /// Signed notes.
    Checkpoints(Vec<String>),
}

/// A content whose bytes were hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashedContent {
    /// The digest that the file states.
    pub named: Digest,
    /// The digest of the bytes.
    pub digest: Digest,
    /// The size in bytes.
    pub size: u64,
}

/// An event that is invalid wherever it stands in the log.
#[derive(Debug)]
pub enum UnusableEvent {
    /// Its seal is broken, or its change can't be read.
    Event(Box<(Event, EventError)>),
    /// The row is no event.
    Row(String),
}

impl PreparedBlock {
    /// Prepares a block.
    ///
    /// # Errors
    /// If it does not hold what its kind says.
    pub fn new(kind: BlockKind, raw: &[u8], log_id: LogId) -> Result<Self, ExportError> {
        Ok(match kind {
            BlockKind::Blobs => Self::Blobs(
                read_blobs(raw)?
                    .iter()
                    .map(|blob| HashedContent {
                        named: blob.digest,
                        digest: Digest::of(blob.bytes),
                        size: blob.bytes.len() as u64,
                    })
                    .collect(),
            ),
            BlockKind::Events => {
                let rows = read_events(raw)?;
                let events = rows.iter().map(|row| row.event(log_id).map_err(UnusableEvent::Row));
                let mut opened: Vec<Result<OpenedEvent, UnusableEvent>> =
                    events.map(|event| OpenedEvent::new(event?).map_err(UnusableEvent::Event)).collect();
                tell_plans(&mut opened);
                Self::Events(opened)
            }
            BlockKind::Checkpoints => Self::Checkpoints(read_checkpoints(raw)?.into_iter().map(String::from).collect()),
            BlockKind::Header | BlockKind::End => {
                return Err(ExportError::Order { expected: "blobs, events or checkpoints", found: kind.name() });
            }
        })
    }
}

/// Tells which requests came without a plan. A request that goes on in another block may have one.
fn tell_plans(events: &mut [Result<OpenedEvent, UnusableEvent>]) {
    for index in 0..events.len() {
        let Some(Ok(first)) = events.get(index) else { continue };
        let count = usize::try_from(first.event().count).unwrap_or(usize::MAX);
        let last = events.get(index.saturating_add(count.saturating_sub(1)));
        let has_none = last.is_some_and(|last| !last.as_ref().is_ok_and(|last| last.event().entity.kind == Kind::Plan));
        if let (true, Some(Ok(first))) = (has_none, events.get_mut(index)) {
            first.is_not_planned();
        }
    }
}
