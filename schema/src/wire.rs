//! Records on the wire: MessagePack maps with named fields and a format version `v`.
//!
//! A reader passes over fields that it does not know, so that a writer may add some; it refuses a `v` that is newer than
//! it understands, by name and before it looks at anything else.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use rmp_serde::decode::Error;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Lists and maps within each other. Today's records need 4; what is deeper was made to exhaust a reader's stack.
const DEPTH_MAX: usize = 32;

/// Bytes that can't be read as a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A newer program wrote the record in a format that this program does not read.
    #[error("a {what} in format {v} is newer than this program, which reads up to {newest}: upgrade it")]
    Newer {
        /// The name of the record that was expected.
        what: &'static str,
        /// The format of the record.
        v: u16,
        /// The newest format that this program reads.
        newest: u16,
    },
    /// The bytes are no record of this kind.
    #[error("this is no {what}: {why}")]
    Damaged {
        /// The name of the record that was expected.
        what: &'static str,
        /// The error of the MessagePack reader.
        why: String,
    },
}

impl RecordError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Newer { .. } => "newer_format",
            Self::Damaged { .. } => "damaged_record",
        }
    }
}

/// A record on the wire, with its name in messages and its newest format.
pub trait WireRecord: Serialize + DeserializeOwned {
    /// The name of the record in error messages.
    const WHAT: &'static str;
    /// The newest format, and the one that is written.
    const NEWEST: u16 = 1;

    /// The record's bytes.
    #[must_use]
    fn write(&self) -> Vec<u8> {
        rmp_serde::to_vec_named(self).expect("BUG: a record has text keys and no failing serializer")
    }

    /// Reads a record.
    ///
    /// # Errors
    /// If its format is newer than [`WireRecord::NEWEST`], or the bytes are damaged.
    fn read(bytes: &[u8]) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Versioned {
            v: u16,
        }
        let damaged = |why: String| RecordError::Damaged { what: Self::WHAT, why };
        let Versioned { v } = whole(bytes).map_err(damaged)?;
        match v {
            0 => Err(RecordError::Damaged { what: Self::WHAT, why: "formats count from 1".into() }),
            v if v > Self::NEWEST => Err(RecordError::Newer { what: Self::WHAT, v, newest: Self::NEWEST }),
            _ => whole(bytes).map_err(damaged),
        }
    }
}

/// The one value that `bytes` are, from the first to the last.
///
/// # Errors
/// The error of the MessagePack reader.
pub fn whole<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, String> {
    let mut reader = rmp_serde::Deserializer::from_read_ref(bytes);
    reader.set_max_depth(DEPTH_MAX);
    let value = T::deserialize(&mut reader).map_err(|error| error.to_string())?;
    // The reader does not say where it stands; but only at the end does it fail to find a next value's marker.
    match bool::deserialize(&mut reader) {
        Err(Error::InvalidMarkerRead(_)) => Ok(value),
        _ => Err("more bytes follow behind its end".into()),
    }
}
