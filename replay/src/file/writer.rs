//! The writer of an export: the caller adds blobs, checkpoints and events, and takes the bytes that are ready.
//!
//! Always: what was brought before an event stands before it in the file, so that a reader has a blob before the first event
//! that names it, and a checkpoint before the event that it is about; memory is bounded by a block of each kind.

use alloc::vec::Vec;
use core::mem;

use schema::digest::{Digest, Hasher};

use super::block::{BlockKind, Packer, RAW_BYTES_MAX, write_end_head};
use super::body::{Blob, BlockBuilder, ExportHeader, ExportRow};
use super::prefix;

/// Raw bytes after which a block is closed: enough to pack well, little enough to be unpacked in a cache.
const BLOCK_BYTES: usize = 256 * 1024;
/// Bytes that a block has beside its items, and more.
const FRAME_BYTES: usize = 1024;
/// Bytes that a row has beside its texts, and more.
const ROW_FRAME_BYTES: usize = 256;

/// A file that is being written.
#[derive(Debug)]
pub struct ExportWriter {
    packer: Packer,
    hasher: Hasher,
    ready: Vec<u8>,
    events: BlockBuilder,
    blobs: BlockBuilder,
    checkpoints: BlockBuilder,
    block_bytes: usize,
}

/// An item is larger than any block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has {bytes} bytes, more than fit into a block of {RAW_BYTES_MAX}")]
pub struct BlockTooLargeError {
    /// The size of the item in bytes.
    pub bytes: usize,
}

impl ExportWriter {
    /// Begins a file.
    #[must_use]
    pub fn new(header: &ExportHeader) -> Self {
        let mut writer = Self {
            packer: Packer::new(),
            hasher: Hasher::default(),
            ready: prefix().to_vec(),
            events: BlockBuilder::events(),
            blobs: BlockBuilder::blobs(),
            checkpoints: BlockBuilder::checkpoints(),
            block_bytes: BLOCK_BYTES,
        };
        writer.packer.write(BlockKind::Header, &header.write(), &mut writer.ready);
        writer
    }

    /// The same writer with blocks of about so many raw bytes. Readers accept any.
    #[must_use]
    pub fn with_blocks_of(mut self, bytes: usize) -> Self {
        self.block_bytes = bytes;
        self
    }

    /// Adds a content that a later event names.
    ///
    /// # Errors
    /// If no block is large enough for it.
    pub fn blob(&mut self, blob: &Blob<'_>) -> Result<(), BlockTooLargeError> {
        fits(blob.bytes.len())?;
        if self.blobs.bytes() + blob.bytes.len() > self.block_bytes {
            self.close_before_events();
        }
        self.blobs.push(blob);
        Ok(())
    }

    /// Adds a signed note about a later event, in the order of their positions.
    ///
    /// # Errors
    /// If no block is large enough for it.
    pub fn checkpoint(&mut self, note: &str) -> Result<(), BlockTooLargeError> {
        fits(note.len())?;
        if self.checkpoints.bytes() + note.len() > self.block_bytes {
            self.close_before_events();
        }
        self.checkpoints.push(note);
        Ok(())
    }

    /// Adds the next event.
    ///
    /// # Errors
    /// If no block is large enough for it.
    pub fn event(&mut self, row: &ExportRow<'_>) -> Result<(), BlockTooLargeError> {
        let texts = [row.entity, row.event_type, row.actor, row.reason, row.data];
        let bytes = texts.iter().map(|text| text.len()).sum::<usize>() + ROW_FRAME_BYTES;
        fits(bytes)?;
        if self.events.bytes() + bytes > self.block_bytes {
            self.close();
        }
        self.events.push(row);
        Ok(())
    }

    /// Closes the blocks that must stand before the events in the open block.
    fn close_before_events(&mut self) {
        for (kind, list) in [(BlockKind::Blobs, &mut self.blobs), (BlockKind::Checkpoints, &mut self.checkpoints)] {
            if let Some(raw) = list.take() {
                self.packer.write(kind, &raw, &mut self.ready);
            }
        }
    }

    /// Closes every block.
    fn close(&mut self) {
        self.close_before_events();
        if let Some(raw) = self.events.take() {
            self.packer.write(BlockKind::Events, &raw, &mut self.ready);
        }
    }

    /// The bytes that are ready for the file. Each is returned once.
    pub fn take(&mut self) -> Vec<u8> {
        self.hasher.update(&self.ready);
        mem::take(&mut self.ready)
    }

    /// The file's last bytes, and its digest. Nothing can follow them.
    #[must_use]
    pub fn finish(&mut self) -> (Vec<u8>, Digest) {
        self.close();
        write_end_head(&mut self.ready);
        let mut last = self.take();
        let digest = self.hasher.clone().finish();
        last.extend_from_slice(digest.as_bytes());
        (last, digest)
    }
}

fn fits(bytes: usize) -> Result<(), BlockTooLargeError> {
    if bytes + FRAME_BYTES > RAW_BYTES_MAX { Err(BlockTooLargeError { bytes }) } else { Ok(()) }
}
