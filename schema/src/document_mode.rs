//! The mode of a document's file on a node: whether it can be run.

use alloc::string::String;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::invalid::InputError;

/// The mode of a file. On every wire it is text of three octal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DocumentMode {
    /// It is read: `644`.
    #[default]
    Plain,
    /// It is run, such as a script: `755`.
    Executable,
}

impl DocumentMode {
    /// Whether the file is only read.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        matches!(self, Self::Plain)
    }

    /// The permission bits of the file.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::Plain => 0o644,
            Self::Executable => 0o755,
        }
    }

    /// The three octal digits.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "644",
            Self::Executable => "755",
        }
    }
}

impl Serialize for DocumentMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for DocumentMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "644" => Ok(Self::Plain),
            "755" => Ok(Self::Executable),
            _ => Err(serde::de::Error::custom(InputError::new("invalid_value", "a mode is `644` or `755`"))),
        }
    }
}
