//! The name of a variant that this program does not know.
//!
//! Programs of different versions read each other's records. An enum in such a record may get another variant one day; an
//! older program that meets it keeps the variant's name, which is all that it can say of it. The name comes from elsewhere,
//! so its length and its characters are limited: it can be copied, printed and logged as it is.

use alloc::format;
use alloc::string::ToString as _;
use core::fmt;
use core::str::FromStr;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::invalid::InputError;
use crate::limit::VARIANT_NAME_BYTES_MAX;

/// A variant's name: `[a-z][a-z0-9_]{0,21}`. It is held in place, so that an enum that has one can still be copied.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnknownVariantName {
    /// The text, and zeros behind it.
    bytes: [u8; VARIANT_NAME_BYTES_MAX],
    length: u8,
}

impl UnknownVariantName {
    /// The name's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let text = core::str::from_utf8(&self.bytes[..usize::from(self.length)]);
        text.expect("BUG: a variant's name is ASCII")
    }
}

impl FromStr for UnknownVariantName {
    type Err = InputError;

    fn from_str(text: &str) -> Result<Self, InputError> {
        let begins = text.bytes().next().is_some_and(|first| first.is_ascii_lowercase());
        let goes_on = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        match u8::try_from(text.len()) {
            Ok(length) if text.len() <= VARIANT_NAME_BYTES_MAX && begins && text.bytes().all(goes_on) => {
                let mut bytes = [0; VARIANT_NAME_BYTES_MAX];
                bytes[..text.len()].copy_from_slice(text.as_bytes());
                Ok(Self { bytes, length })
            }
            _ => {
                let rule = format!("is 1 to {VARIANT_NAME_BYTES_MAX} of a-z 0-9 _ and starts with a letter");
                Err(InputError::new("invalid_value", format!("the name of a variant {rule}")))
            }
        }
    }
}

impl fmt::Display for UnknownVariantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for UnknownVariantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for UnknownVariantName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for UnknownVariantName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Reads the text in place, without a copy on the heap.
        struct Text;

        impl Visitor<'_> for Text {
            type Value = UnknownVariantName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a variant")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<UnknownVariantName, E> {
                text.parse().map_err(|invalid: InputError| E::custom(invalid.to_string()))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn a_name_is_short_printable_text_and_sorts_as_such() {
        let longest = "a".repeat(VARIANT_NAME_BYTES_MAX);
        let names = ["a", "a_1", "ab", longest.as_str(), "waiting_for_window"];
        let mut read: Vec<UnknownVariantName> = names.iter().map(|name| name.parse().expect(name)).collect();
        read.sort();
        let mut sorted = names;
        sorted.sort_unstable();
        assert_eq!(read.iter().map(UnknownVariantName::as_str).collect::<Vec<_>>(), sorted);
        let too_long = "a".repeat(VARIANT_NAME_BYTES_MAX + 1);
        for refused in ["", "A", "1a", "_a", "a b", "a-b", "ä", "a\u{1b}[2J", "a\n", too_long.as_str()] {
            assert!(refused.parse::<UnknownVariantName>().is_err(), "{refused:?}");
        }
    }
}
