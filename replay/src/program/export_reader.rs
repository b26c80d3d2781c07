//! The reader of an export file: it reads block by block and hashes the bytes. It does not judge the contents.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use replay::file::block::{BlockHead, BlockKind, Unpacker};
use replay::file::body::ExportHeader;
use replay::file::{ExportError, PREFIX_BYTES, check_prefix};
use schema::digest::{Digest, Hasher};

/// Bytes that are read at once.
const READ_BYTES: usize = 256 * 1024;

/// A file that is being read.
pub(crate) struct ExportReader {
    path: PathBuf,
    reader: BufReader<File>,
    hasher: Hasher,
    offset: u64,
}

/// A block as it stands in the file.
pub(crate) struct PackedBlock {
    /// The offset of its first byte in the file.
    pub(crate) offset: u64,
    /// The head of the block.
    pub(crate) head: BlockHead,
    /// The packed bytes.
    pub(crate) bytes: Vec<u8>,
}

/// The next part of a file.
pub(crate) enum NextBlock {
    /// A block.
    Block(PackedBlock),
    /// The end of the file.
    End {
        /// SHA-256 of the bytes that were read.
        computed: Digest,
        /// The digest at the end of the file.
        written: Digest,
    },
}

/// Why the rest of a file can't be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportReadError {
    /// The operating system refused.
    #[error("{}", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    /// The file is no valid export from this byte on.
    #[error("at byte {offset}: {damage}")]
    Damaged {
        /// The offset in the file.
        offset: u64,
        /// The error.
        damage: ExportError,
    },
    /// The digest at the end of the file is not that of its bytes.
    #[error("at byte {offset}: the digest is {written}, that of the bytes {computed}")]
    Altered {
        /// The offset of the digest.
        offset: u64,
        /// SHA-256 of the bytes that were read.
        computed: Digest,
        /// The digest at the end of the file.
        written: Digest,
    },
}

impl ExportReader {
    /// Opens a file and reads its header.
    pub(crate) fn open(path: &Path) -> Result<(Self, ExportHeader), ExportReadError> {
        let file = File::open(path).map_err(|error| ExportReadError::Unreadable(path.to_owned(), error))?;
        let reader = BufReader::with_capacity(READ_BYTES, file);
        let mut source = Self { path: path.to_owned(), reader, hasher: Hasher::default(), offset: 0 };
        let mut prefix = [0; PREFIX_BYTES];
        source.fill(&mut prefix, "its first bytes")?;
        check_prefix(&prefix).map_err(|damage| ExportReadError::Damaged { offset: 0, damage })?;
        let offset = source.offset;
        let damaged = |damage| ExportReadError::Damaged { offset, damage };
        let PackedBlock { head, bytes, .. } = source.block()?;
        if head.kind != BlockKind::Header {
            return Err(damaged(ExportError::Order { expected: BlockKind::Header.name(), found: head.kind.name() }));
        }
        let raw = Unpacker::default().unpack(head, &bytes).map_err(damaged)?;
        let header = ExportHeader::read(&raw).map_err(damaged)?;
        Ok((source, header))
    }

    /// The offset of the next byte.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next block, or the end.
    pub(crate) fn next(&mut self) -> Result<NextBlock, ExportReadError> {
        let stored = self.block()?;
        let damaged = |damage| ExportReadError::Damaged { offset: stored.offset, damage };
        match stored.head.kind {
            BlockKind::Header => {
                Err(damaged(ExportError::Order { expected: "another block", found: BlockKind::Header.name() }))
            }
            BlockKind::End => {
                let written = Digest::try_from(stored.bytes.as_slice());
                let written = written.map_err(|_| damaged(ExportError::Cut { what: "its digest" }))?;
                self.nothing_follows()?;
                Ok(NextBlock::End { computed: self.hasher.clone().finish(), written })
            }
            _ => Ok(NextBlock::Block(stored)),
        }
    }

    fn block(&mut self) -> Result<PackedBlock, ExportReadError> {
        let offset = self.offset;
        let mut head = [0; BlockHead::BYTES];
        self.fill(&mut head, "the head of a block")?;
        let head = BlockHead::read(&head).map_err(|damage| ExportReadError::Damaged { offset, damage })?;
        let mut bytes = vec![0; head.stored];
        match head.kind {
            // The digest is of what precedes it.
            BlockKind::End => self.read(&mut bytes, "its digest")?,
            _ => self.fill(&mut bytes, "a block")?,
        }
        Ok(PackedBlock { offset, head, bytes })
    }

    /// Reads and hashes.
    fn fill(&mut self, bytes: &mut [u8], what: &'static str) -> Result<(), ExportReadError> {
        self.read(bytes, what)?;
        self.hasher.update(bytes);
        Ok(())
    }

    fn read(&mut self, bytes: &mut [u8], what: &'static str) -> Result<(), ExportReadError> {
        let read = self.reader.read_exact(bytes);
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                ExportReadError::Damaged { offset: self.offset, damage: ExportError::Cut { what } }
            }
            _ => ExportReadError::Unreadable(self.path.clone(), error),
        })?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn nothing_follows(&mut self) -> Result<(), ExportReadError> {
        let count =
            self.reader.read(&mut [0]).map_err(|error| ExportReadError::Unreadable(self.path.clone(), error))?;
        match count {
            0 => Ok(()),
            _ => {
                let damage = ExportError::Order { expected: "the end of the file", found: "more bytes" };
                Err(ExportReadError::Damaged { offset: self.offset, damage })
            }
        }
    }
}
