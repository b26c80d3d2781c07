//! A file, block by block, hashed on the way. What it is worth is for others to say.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use replay::file::block::{Head, Kind, Unpacker};
use replay::file::body::Header;
use replay::file::{Damage, PREFIX_BYTES, check_prefix};
use schema::digest::{Digest, Hasher};

/// Bytes that are read at once.
const READ_BYTES: usize = 256 * 1024;

/// A file that is being read.
pub(crate) struct Source {
    path: PathBuf,
    reader: BufReader<File>,
    hasher: Hasher,
    offset: u64,
}

/// A block as it stands in the file.
pub(crate) struct Stored {
    /// Where it begins.
    pub(crate) offset: u64,
    /// What stands before its bytes.
    pub(crate) head: Head,
    /// Its bytes, packed.
    pub(crate) bytes: Vec<u8>,
}

/// What comes next.
pub(crate) enum Next {
    /// A block.
    Block(Stored),
    /// The end, and what the file should have as its digest and has.
    End {
        /// Of the bytes as they are.
        computed: Digest,
        /// At the file's end.
        written: Digest,
    },
}

/// Why a file can't be read on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The system says so.
    #[error("{}", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    /// The file is not what it must be from this byte on.
    #[error("at byte {offset}: {damage}")]
    Damaged {
        /// Where.
        offset: u64,
        /// What is wrong.
        damage: Damage,
    },
    /// The file's bytes are not those that its last ones are the digest of.
    #[error("at byte {offset}: the digest is {written}, that of the bytes {computed}")]
    Altered {
        /// Where the digest is.
        offset: u64,
        /// Of the bytes as they are.
        computed: Digest,
        /// In the file.
        written: Digest,
    },
}

impl Source {
    /// Opens a file and reads its header.
    pub(crate) fn open(path: &Path) -> Result<(Self, Header), Broken> {
        let file = File::open(path).map_err(|error| Broken::Unreadable(path.to_owned(), error))?;
        let reader = BufReader::with_capacity(READ_BYTES, file);
        let mut source = Self { path: path.to_owned(), reader, hasher: Hasher::default(), offset: 0 };
        let mut prefix = [0; PREFIX_BYTES];
        source.fill(&mut prefix, "its first bytes")?;
        check_prefix(&prefix).map_err(|damage| Broken::Damaged { offset: 0, damage })?;
        let offset = source.offset;
        let damaged = |damage| Broken::Damaged { offset, damage };
        let Stored { head, bytes, .. } = source.block()?;
        if head.kind != Kind::Header {
            return Err(damaged(Damage::Order { expected: Kind::Header.name(), found: head.kind.name() }));
        }
        let raw = Unpacker::default().unpack(head, &bytes).map_err(damaged)?;
        let header = Header::read(&raw).map_err(damaged)?;
        Ok((source, header))
    }

    /// Where the next byte is.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next block, or the end.
    pub(crate) fn next(&mut self) -> Result<Next, Broken> {
        let stored = self.block()?;
        let damaged = |damage| Broken::Damaged { offset: stored.offset, damage };
        match stored.head.kind {
            Kind::Header => Err(damaged(Damage::Order { expected: "another block", found: Kind::Header.name() })),
            Kind::End => {
                let written = Digest::try_from(stored.bytes.as_slice());
                let written = written.map_err(|_| damaged(Damage::Cut { what: "its digest" }))?;
                self.nothing_follows()?;
                Ok(Next::End { computed: self.hasher.clone().finish(), written })
            }
            _ => Ok(Next::Block(stored)),
        }
    }

    fn block(&mut self) -> Result<Stored, Broken> {
        let offset = self.offset;
        let mut head = [0; Head::BYTES];
        self.fill(&mut head, "the head of a block")?;
        let head = Head::read(&head).map_err(|damage| Broken::Damaged { offset, damage })?;
        let mut bytes = vec![0; head.stored];
        match head.kind {
            // The digest is of what precedes it.
            Kind::End => self.read(&mut bytes, "its digest")?,
            _ => self.fill(&mut bytes, "a block")?,
        }
        Ok(Stored { offset, head, bytes })
    }

    /// Reads and hashes.
    fn fill(&mut self, bytes: &mut [u8], what: &'static str) -> Result<(), Broken> {
        self.read(bytes, what)?;
        self.hasher.update(bytes);
        Ok(())
    }

    fn read(&mut self, bytes: &mut [u8], what: &'static str) -> Result<(), Broken> {
        let read = self.reader.read_exact(bytes);
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Broken::Damaged { offset: self.offset, damage: Damage::Cut { what } },
            _ => Broken::Unreadable(self.path.clone(), error),
        })?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn nothing_follows(&mut self) -> Result<(), Broken> {
        let count = self.reader.read(&mut [0]).map_err(|error| Broken::Unreadable(self.path.clone(), error))?;
        match count {
            0 => Ok(()),
            _ => {
                let damage = Damage::Order { expected: "the end of the file", found: "more bytes" };
                Err(Broken::Damaged { offset: self.offset, damage })
            }
        }
    }
}
