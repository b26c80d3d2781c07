//! An export: a log, its blobs and its checkpoints as one file, which needs nothing beside it to be verified.
//!
//! `FORMAT.md` says every byte of it for whoever reads it in another language. Here are its blocks ([`block`]), what stands
//! in them ([`body`]) and how a file grows ([`writer`]). All of it is pure: bytes in, bytes out; whoever has a file brings
//! them.
//!
//! Always: the same events, blobs and checkpoints give the same file, which holds no time and no name of its own; a block is
//! bounded, so that neither writing nor reading needs more memory for a longer log; what is read has the shape that it
//! must, or is refused. Whether it is *true* is for [`crate::audit`] to say.

pub mod block;
pub mod body;
pub mod writer;

/// What a file begins with: a byte that is no text, a name, and line ends that a transfer as text would change.
pub const MAGIC: [u8; 8] = *b"\x89HWLOG\r\n";

/// The newest format, and the one that is written.
pub const FORMAT: u16 = 1;

/// Bytes of the magic and the format.
pub const PREFIX_BYTES: usize = MAGIC.len() + 2;

/// The prefix of a file.
#[must_use]
pub fn prefix() -> [u8; PREFIX_BYTES] {
    let mut prefix = [0; PREFIX_BYTES];
    prefix[..MAGIC.len()].copy_from_slice(&MAGIC);
    prefix[MAGIC.len()..].copy_from_slice(&FORMAT.to_be_bytes());
    prefix
}

/// Checks the prefix of a file.
///
/// # Errors
/// If the file is none of Headwater's, or newer than this program.
pub fn check_prefix(prefix: &[u8; PREFIX_BYTES]) -> Result<(), ExportError> {
    let (magic, format) = prefix.split_at(MAGIC.len());
    match (magic == MAGIC, u16::from_be_bytes([format[0], format[1]])) {
        (false, _) => Err(ExportError::NoExport),
        (true, 0) => Err(ExportError::NoExport),
        (true, found) if found > FORMAT => Err(ExportError::Newer { found }),
        _ => Ok(()),
    }
}

/// Bytes that are no valid part of an export.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// It does not begin as one.
    #[error("this is no export of a Headwater log")]
    NoExport,
    /// Written by a newer Headwater.
    #[error("the export has format {found}, and this program reads up to {FORMAT}: upgrade it")]
    Newer {
        /// Its format.
        found: u16,
    },
    /// The bytes end within something.
    #[error("the file ends within {what}")]
    Cut {
        /// Within what.
        what: &'static str,
    },
    /// No such kind of block.
    #[error("there is no block of kind {found}")]
    Kind {
        /// The kind's number.
        found: u8,
    },
    /// A block of this kind can't stand here.
    #[error("a block of {found} where {expected} was next")]
    Order {
        /// What could come.
        expected: &'static str,
        /// What came.
        found: &'static str,
    },
    /// Larger than any block is.
    #[error("a block of {bytes} bytes, where at most {limit} are allowed")]
    TooLarge {
        /// Its bytes, by its own word.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The compressed bytes can't be unpacked.
    #[error("the block's bytes can't be unpacked: {why}")]
    Packed {
        /// What the unpacker stumbled over.
        why: &'static str,
    },
    /// What was unpacked does not have the shape that it must.
    #[error("the block does not hold {what}: {why}")]
    Shape {
        /// What it should hold.
        what: &'static str,
        /// What the reader stumbled over.
        why: alloc::string::String,
    },
}
