//! The text form of keys in NATS: an Ed25519 key with a prefix that says whose it is, and a checksum, in base32.

use data_encoding::BASE32_NOPAD;
use schema::node_keys::KeyBytes;
use schema::seal::SecretKey;

/// Marks a seed; it stands in the first bits, before the bits that say whose seed it is.
const SEED: u8 = 18 << 3;

/// Whose key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// A user's; the text of the public key begins with `U`.
    User,
    /// An account's; `A`.
    Account,
}

impl KeyKind {
    const fn prefix(self) -> u8 {
        match self {
            Self::User => 20 << 3,
            Self::Account => 0,
        }
    }

    /// The text of a public key.
    #[must_use]
    pub fn public(self, key: &KeyBytes) -> String {
        checked([self.prefix()].into_iter().chain(*key.as_bytes()))
    }

    /// The public key of a text; none if it is no key of this kind.
    #[must_use]
    pub fn read_public(self, text: &str) -> Option<KeyBytes> {
        let bytes: [u8; 33] = unchecked(text)?.try_into().ok()?;
        let (prefix, key) = bytes.split_first()?;
        let key: [u8; 32] = key.try_into().ok()?;
        (*prefix == self.prefix()).then(|| key.into())
    }

    /// The text of a seed.
    #[must_use]
    pub fn seed(self, seed: &[u8; 32]) -> String {
        let kind = self.prefix();
        checked([SEED | kind >> 5, (kind & 0x1f) << 3].into_iter().chain(*seed))
    }

    /// The secret key of a seed's text; none if it is no seed of this kind.
    #[must_use]
    pub fn read_seed(self, text: &str) -> Option<SecretKey> {
        let bytes: [u8; 34] = unchecked(text)?.try_into().ok()?;
        let seed: [u8; 32] = bytes[2..].try_into().ok()?;
        (self.seed(&seed) == text).then(|| SecretKey::from_seed(&seed))
    }
}

fn checked(bytes: impl Iterator<Item = u8>) -> String {
    let mut bytes: Vec<u8> = bytes.collect();
    let sum = crc16(&bytes);
    bytes.extend(sum.to_le_bytes());
    BASE32_NOPAD.encode(&bytes)
}

fn unchecked(text: &str) -> Option<Vec<u8>> {
    let mut bytes = BASE32_NOPAD.decode(text.as_bytes()).ok()?;
    let sum = bytes.split_off(bytes.len().checked_sub(2)?);
    (crc16(&bytes).to_le_bytes().as_slice() == sum).then_some(bytes)
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte) << 8, |sum: u16, _| match sum & 0x8000 {
            0 => sum << 1,
            _ => sum << 1 ^ 0x1021,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_the_library_of_nats() {
        for (kind, theirs) in
            [(KeyKind::User, nkeys::KeyPairType::User), (KeyKind::Account, nkeys::KeyPairType::Account)]
        {
            for seed in [[0; 32], [7; 32], [0xff; 32]] {
                let pair = nkeys::KeyPair::new_from_raw(theirs.clone(), seed).expect("a key");
                let secret = SecretKey::from_seed(&seed);
                let public = KeyBytes::from(&secret.public());
                assert_eq!(kind.public(&public), pair.public_key());
                assert_eq!(kind.seed(&seed), pair.seed().expect("a seed"));
                assert_eq!(kind.read_public(&pair.public_key()), Some(public));
                let read = kind.read_seed(&pair.seed().expect("a seed")).expect("it is read");
                assert_eq!(read.public(), secret.public());
            }
        }
    }

    #[test]
    fn what_is_no_key_of_the_kind_is_not_read() {
        let secret = SecretKey::from_seed(&[7; 32]);
        let text = KeyKind::User.public(&KeyBytes::from(&secret.public()));
        let seed = KeyKind::User.seed(&[7; 32]);
        assert_eq!(KeyKind::Account.read_public(&text), None);
        assert!(KeyKind::Account.read_seed(&seed).is_none());
        for other in [
            "",
            "U",
            &text[1..],
            &text.to_lowercase(),
            &format!("{}{}", &text[..55], if text.ends_with('A') { 'B' } else { 'A' }),
            &format!("{text}A"),
        ] {
            assert_eq!(KeyKind::User.read_public(other), None, "{other}");
        }
    }
}
