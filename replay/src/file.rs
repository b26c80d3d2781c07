//! An export: a log, its blobs and its checkpoints as one file, which needs nothing beside it to be verified.
//!
//! `FORMAT.md` specifies every byte, for readers in other languages. Here are the blocks ([`block`]), their contents
//! ([`body`]) and the writer of a file ([`writer`]). All of it is pure: bytes in, bytes out; the caller reads and writes files.
//!
//! Always: the same events, blobs and checkpoints give the same file, which holds no time and no name of its own; a block is
//! bounded, so that neither writing nor reading needs more memory for a longer log; what is read has the shape that it
//! must, or is refused. Whether it is *true* is for [`crate::audit`] to say.

pub mod block;
pub mod body;
pub mod writer;

/// The first bytes of a file: a byte that is no text, a name, and line ends that a transfer as text would change.
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
/// If the file is no export of Headwater, or of a newer format than this program reads.
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
    /// The file does not begin as an export.
    #[error("this is no export of a Headwater log")]
    NoExport,
    /// A newer program wrote the file in a format that this program does not read.
    #[error("the export has format {found}, and this program reads up to {FORMAT}: upgrade it")]
    Newer {
        /// The format of the file.
        found: u16,
    },
    /// The bytes end too early.
    #[error("the file ends within {what}")]
    Cut {
        /// The part of the file that is incomplete.
        what: &'static str,
    },
    /// No kind of block has this number.
    #[error("there is no block of kind {found}")]
    Kind {
        /// The number.
        found: u8,
    },
    /// A block of this kind is not allowed here.
    #[error("a block of {found} where {expected} was next")]
    Order {
        /// The kinds that are allowed.
        expected: &'static str,
        /// The kind of the block.
        found: &'static str,
    },
    /// The block states a size that no block has.
    #[error("a block of {bytes} bytes, where at most {limit} are allowed")]
    TooLarge {
        /// The size that the block states, in bytes.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The compressed bytes can't be unpacked.
    #[error("the block's bytes can't be unpacked: {why}")]
    Packed {
        /// The error of the unpacker.
        why: &'static str,
    },
    /// The unpacked bytes do not have the shape of their kind of block.
    #[error("the block does not hold {what}: {why}")]
    Shape {
        /// The content that was expected.
        what: &'static str,
        /// The error of the MessagePack reader.
        why: alloc::string::String,
    },
}
