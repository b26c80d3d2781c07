//! The public keys of a node and of a join token, as the log holds them.

use alloc::format;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::invalid::InputError;
use crate::seal::PublicKey;
use crate::text_form;

/// The 32 bytes of an Ed25519 public key; its text is 64 hex digits. A state holds one for each node, so it is not unpacked to the
/// point on the curve as a [`PublicKey`] is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyBytes([u8; 32]);

impl KeyBytes {
    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key, with which signatures are verified; none if no signature can be verified with it.
    #[must_use]
    pub fn key(&self) -> Option<PublicKey> {
        PublicKey::from_bytes(&self.0).ok().filter(|key| !key.is_weak())
    }
}

impl From<[u8; 32]> for KeyBytes {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl From<&PublicKey> for KeyBytes {
    fn from(key: &PublicKey) -> Self {
        Self(*key.as_bytes())
    }
}

impl FromStr for KeyBytes {
    type Err = InputError;

    fn from_str(text: &str) -> Result<Self, InputError> {
        let mut bytes = [0; 32];
        let is_lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        match hex::decode_to_slice(text, &mut bytes) {
            Ok(()) if is_lower => Ok(Self(bytes)),
            _ => Err(InputError::new("invalid_value", "a key is 64 lower-case hex digits")),
        }
    }
}

impl fmt::Display for KeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for KeyBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{self}"))
    }
}

impl<'de> Deserialize<'de> for KeyBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_form::parsed(deserializer)
    }
}

/// The public keys of a node. Their secret halves are derived from the node's seed, which never leaves the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NodeKeys {
    /// The key that the node connects to NATS with.
    pub bus: KeyBytes,
    /// The key that the node signs its reports, requests and proposals with.
    pub say: KeyBytes,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::SecretKey;

    #[test]
    fn a_key_is_read_as_it_is_written_and_in_no_other_form() {
        let public = SecretKey::from_seed(&[7; 32]).public();
        let key = KeyBytes::from(&public);
        let text = format!("{key}");
        assert_eq!(text.parse(), Ok(key));
        assert_eq!(key.key(), Some(public));
        for refused in ["", "00", &text.to_uppercase(), &text[1..], &format!("{text}0")] {
            assert!(refused.parse::<KeyBytes>().is_err(), "{refused}");
        }
    }

    #[test]
    fn a_key_that_verifies_anything_or_nothing_is_no_key() {
        let identity = {
            let mut bytes = [0; 32];
            bytes[0] = 1;
            bytes
        };
        assert_eq!(KeyBytes::from(identity).key(), None);
        let no_point = {
            let mut bytes = [0; 32];
            bytes[0] = 2;
            bytes
        };
        assert_eq!(KeyBytes::from(no_point).key(), None);
    }
}
