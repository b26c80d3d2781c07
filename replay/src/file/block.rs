//! Blocks, the parts of an export file, and their compression.
//!
//! `kind u8 ‖ stored u32be ‖ raw u32be ‖ stored bytes`, where the stored bytes unpack (zlib, RFC 1950) to the raw ones. The
//! last block is not packed: it is the SHA-256 of all that precedes these 32 bytes, its own head included.

use alloc::vec::Vec;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::ExportError;
use schema::digest::Digest;
use schema::limit::CONTENT_BYTES_MAX;

/// The largest raw size of a block in bytes: the largest content and its frame.
pub const RAW_BYTES_MAX: usize = CONTENT_BYTES_MAX + 64 * 1024;
/// The largest packed size of a block in bytes: bytes that can't be packed grow by 5 for every 16 KiB, and a few once.
pub const STORED_BYTES_MAX: usize = RAW_BYTES_MAX + RAW_BYTES_MAX / 1024 + 64;

/// The compression level. A higher one is slower and makes a log, half of which is digests and ids, no smaller.
const EFFORT: u32 = 4;

/// The kind of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKind {
    /// The header: the log, and the first and last position.
    Header,
    /// Contents, each with its digest.
    Blobs,
    /// Events in their order.
    Events,
    /// Signed notes.
    Checkpoints,
    /// The end: the digest of all before.
    End,
}

impl BlockKind {
    /// The kind's number in a file.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Header => 1,
            Self::Blobs => 2,
            Self::Events => 3,
            Self::Checkpoints => 4,
            Self::End => 5,
        }
    }

    /// The name in error messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Header => "a header",
            Self::Blobs => "blobs",
            Self::Events => "events",
            Self::Checkpoints => "checkpoints",
            Self::End => "the end",
        }
    }

    fn of(number: u8) -> Result<Self, ExportError> {
        let kinds = [Self::Header, Self::Blobs, Self::Events, Self::Checkpoints, Self::End];
        kinds.into_iter().find(|kind| kind.number() == number).ok_or(ExportError::Kind { found: number })
    }
}

/// The head of a block, before its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHead {
    /// The kind of the block.
    pub kind: BlockKind,
    /// The size in the file, in bytes.
    pub stored: usize,
    /// The unpacked size, in bytes.
    pub raw: usize,
}

impl BlockHead {
    /// The size of a head in bytes.
    pub const BYTES: usize = 9;

    /// Reads a head.
    ///
    /// # Errors
    /// If the kind is unknown, or the size is beyond the limit.
    pub fn read(bytes: &[u8; Self::BYTES]) -> Result<Self, ExportError> {
        let [kind, s0, s1, s2, s3, r0, r1, r2, r3] = *bytes;
        let size = |bytes: [u8; 4], limit| match usize::try_from(u32::from_be_bytes(bytes)).unwrap_or(usize::MAX) {
            bytes if bytes > limit => Err(ExportError::TooLarge { bytes, limit }),
            bytes => Ok(bytes),
        };
        let kind = BlockKind::of(kind)?;
        let is_end = kind == BlockKind::End;
        let limit = |limit| if is_end { Digest::BYTES } else { limit };
        let stored = size([s0, s1, s2, s3], limit(STORED_BYTES_MAX))?;
        let raw = size([r0, r1, r2, r3], limit(RAW_BYTES_MAX))?;
        match is_end && (stored, raw) != (Digest::BYTES, Digest::BYTES) {
            true => Err(ExportError::Cut { what: "its digest" }),
            false => Ok(Self { kind, stored, raw }),
        }
    }

    fn write(self, out: &mut Vec<u8>) {
        let size = |bytes: usize| u32::try_from(bytes).expect("BUG: blocks are bounded").to_be_bytes();
        out.push(self.kind.number());
        out.extend_from_slice(&size(self.stored));
        out.extend_from_slice(&size(self.raw));
    }
}

/// The head of the last block; its bytes are the digest of all before them.
pub(super) fn write_end_head(out: &mut Vec<u8>) {
    BlockHead { kind: BlockKind::End, stored: Digest::BYTES, raw: Digest::BYTES }.write(out);
}

/// Packs blocks one after another.
#[derive(Debug)]
pub(super) struct Packer(Compress);

impl Packer {
    pub(super) fn new() -> Self {
        Self(Compress::new(Compression::new(EFFORT), true))
    }

    /// Appends a block.
    pub(super) fn write(&mut self, kind: BlockKind, raw: &[u8], out: &mut Vec<u8>) {
        assert!(raw.len() <= RAW_BYTES_MAX, "BUG: a block of {} bytes", raw.len());
        let mut packed = Vec::with_capacity(STORED_BYTES_MAX.min(raw.len() + raw.len() / 1024 + 64));
        self.0.reset();
        let status = self.0.compress_vec(raw, &mut packed, FlushCompress::Finish);
        assert!(matches!(status, Ok(Status::StreamEnd)), "BUG: there was room for all of it");
        BlockHead { kind, stored: packed.len(), raw: raw.len() }.write(out);
        out.extend_from_slice(&packed);
    }
}

/// Unpacks blocks one after another.
#[derive(Debug)]
pub struct Unpacker(Decompress);

impl Default for Unpacker {
    fn default() -> Self {
        Self(Decompress::new(true))
    }
}

impl Unpacker {
    /// The raw bytes of a block.
    ///
    /// # Errors
    /// If the stored ones are no zlib stream, or one of another length.
    pub fn unpack(&mut self, head: BlockHead, stored: &[u8]) -> Result<Vec<u8>, ExportError> {
        let mut raw = Vec::with_capacity(head.raw);
        self.0.reset(true);
        let damaged = |why| Err(ExportError::Packed { why });
        match self.0.decompress_vec(stored, &mut raw, FlushDecompress::Finish) {
            Ok(Status::StreamEnd) if self.0.total_in() != stored.len() as u64 => {
                damaged("more bytes follow behind its end")
            }
            Ok(Status::StreamEnd) if raw.len() != head.raw => damaged("it is shorter than its head says"),
            Ok(Status::StreamEnd) => Ok(raw),
            Ok(_) if raw.len() == head.raw => damaged("it is longer than its head says"),
            Ok(_) => damaged("it ends too early"),
            Err(_) => damaged("it is no zlib stream, or its checksum is wrong"),
        }
    }
}
