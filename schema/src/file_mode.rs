//! The mode of a document's file on a node: whether it can be run.

use alloc::string::String;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::invalid::InputError;

/// The mode of a file. On every wire it is text of three octal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileMode {
    /// It is read: `644`.
    #[default]
    Plain,
    /// It is run, such as a script: `755`.
    Executable,
}

impl FileMode {
    /// The three octal digits.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "644",
            Self::Executable => "755",
        }
    }

    /// Whether it is the mode that a file has unless something else is said.
    #[must_use]
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub const fn is_plain(&self) -> bool {
        matches!(self, Self::Plain)
    }
}

impl Serialize for FileMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for FileMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "644" => Ok(Self::Plain),
            "755" => Ok(Self::Executable),
            _ => Err(serde::de::Error::custom(InputError::new("invalid_value", "a mode is `644` or `755`"))),
        }
    }
}
