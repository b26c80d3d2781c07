//! Contents by their digests and events by their positions, found in files that were read before: only blocks that can have
//! them are unpacked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use replay::file::block::{BlockKind, Unpacker};
use replay::file::body::{read_blobs, read_events};
use schema::digest::Digest;
use schema::event::Event;
use schema::id::LogId;
use schema::position::Position;

use super::export_reader::{ExportReader, NextBlock};
use super::output::RunError;

/// A file may have been exchanged since it was verified.
fn changed(error: &dyn std::fmt::Display) -> RunError {
    RunError::Unreachable(format!("a file changed while it was read: {error}"))
}

/// Unpacks blocks of one kind, until nothing more of them is wanted.
fn unpack(
    files: &[PathBuf],
    kind: BlockKind,
    mut take: impl FnMut(LogId, &[u8]) -> Result<Wanted, RunError>,
) -> Result<(), RunError> {
    let mut unpacker = Unpacker::default();
    for path in files {
        let (mut source, header) = ExportReader::open(path).map_err(|error| changed(&error))?;
        while let NextBlock::Block(stored) = source.next().map_err(|error| changed(&error))? {
            if stored.head.kind != kind {
                continue;
            }
            let raw = unpacker.unpack(stored.head, &stored.bytes).map_err(|error| changed(&error))?;
            if take(header.log_id, &raw)? == Wanted::Nothing {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Whether the search goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    More,
    Nothing,
}

impl Wanted {
    fn rest(is_empty: bool) -> Self {
        if is_empty { Self::Nothing } else { Self::More }
    }
}

/// Gives each of these contents once, in the order of the files.
pub(crate) fn bring(
    files: &[PathBuf],
    mut wanted: BTreeSet<Digest>,
    mut take: impl FnMut(Digest, &[u8]) -> Result<(), RunError>,
) -> Result<(), RunError> {
    if !wanted.is_empty() {
        unpack(files, BlockKind::Blobs, |_, raw| {
            for blob in read_blobs(raw).map_err(|error| changed(&error))? {
                if wanted.remove(&blob.digest) {
                    match Digest::of(blob.bytes) == blob.digest {
                        true => take(blob.digest, blob.bytes)?,
                        false => return Err(changed(&"a content is another")),
                    }
                }
            }
            Ok(Wanted::rest(wanted.is_empty()))
        })?;
    }
    match wanted.first() {
        None => Ok(()),
        Some(digest) => Err(changed(&format_args!("content {digest} is gone"))),
    }
}

/// The events at these positions.
pub(crate) fn events(files: &[PathBuf], mut wanted: BTreeSet<Position>) -> Result<BTreeMap<Position, Event>, RunError> {
    let mut found = BTreeMap::new();
    if !wanted.is_empty() {
        unpack(files, BlockKind::Events, |log_id, raw| {
            for row in read_events(raw).map_err(|error| changed(&error))? {
                if wanted.remove(&row.position.into()) {
                    let event = row.event(log_id).map_err(|error| changed(&error))?;
                    found.insert(event.position, event);
                }
            }
            Ok(Wanted::rest(wanted.is_empty()))
        })?;
    }
    match wanted.first() {
        None => Ok(found),
        Some(position) => Err(changed(&format_args!("event {position} is gone"))),
    }
}
