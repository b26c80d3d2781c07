//! What can be found out about a block alone: by anybody, in any order, on any thread.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use schema::digest::Digest;
use schema::event::Event;
use schema::id::LogId;

use crate::fault::Fault;
use crate::file::Damage;
use crate::file::block::Kind;
use crate::file::body::{read_blobs, read_checkpoints, read_events};
use crate::log::Opened;

/// A block with all that can be found out about it alone.
#[derive(Debug)]
pub enum Prepared {
    /// Contents: by the file's word, by their bytes, and how many they are.
    Blobs(Vec<Content>),
    /// Events.
    Events(Vec<Result<Opened, Unfit>>),
    /// Signed notes.
    Checkpoints(Vec<String>),
}

/// A content whose bytes were hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// What the file calls it.
    pub named: Digest,
    /// What its bytes are.
    pub digest: Digest,
    /// How many they are.
    pub size: u64,
}

/// An event that can't be right wherever it stands.
#[derive(Debug)]
pub enum Unfit {
    /// Its seal is broken, or its change can't be read.
    Event(Box<(Event, Fault)>),
    /// It is none.
    Row(String),
}

impl Prepared {
    /// Prepares a block.
    ///
    /// # Errors
    /// If it does not hold what its kind says.
    pub fn new(kind: Kind, raw: &[u8], log_id: LogId) -> Result<Self, Damage> {
        Ok(match kind {
            Kind::Blobs => Self::Blobs(
                read_blobs(raw)?
                    .iter()
                    .map(|blob| Content {
                        named: blob.digest,
                        digest: Digest::of(blob.bytes),
                        size: blob.bytes.len() as u64,
                    })
                    .collect(),
            ),
            Kind::Events => Self::Events(
                read_events(raw)?
                    .iter()
                    .map(|row| row.event(log_id).map_err(Unfit::Row))
                    .map(|event| Opened::new(event?).map_err(Unfit::Event))
                    .collect(),
            ),
            Kind::Checkpoints => Self::Checkpoints(read_checkpoints(raw)?.into_iter().map(String::from).collect()),
            Kind::Header | Kind::End => {
                return Err(Damage::Order { expected: "blobs, events or checkpoints", found: kind.name() });
            }
        })
    }
}
