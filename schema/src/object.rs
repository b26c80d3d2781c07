//! Content as it lies in the object store: encrypted, under a name that only who knows its digest can compute.
//!
//! Key and name follow from the content's digest and the log's id by HKDF-SHA256, so a record, which has the digest, is all that a
//! node needs, and equal content is one object. Every node may read the object store; without the digest it sees sizes and noise. The
//! price: who guesses a whole content can confirm the guess.
//!
//! The cipher is ChaCha20 with nonce zero: a key belongs to exactly one content, so no two messages share a keystream. It is no AEAD
//! on purpose: the reader compares the digest of the plaintext before it uses any of it, and that digest was signed.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit as _, StreamCipher as _};
use hkdf::Hkdf;
use sha2::Sha256;

use crate::digest::Digest;
use crate::id::LogId;
use crate::invalid::InputError;

/// The context of the key of an object.
const KEY: &[u8] = b"hw1/object-key";
/// The context of the name of an object.
const NAME: &[u8] = b"hw1/object-name";
/// The context of the mark of an object.
const MARK: &[u8] = b"hw1/object-mark";
/// The member of an object's metadata that holds its mark.
pub const MARK_MEMBER: &str = "mark";

/// The name of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectName {
    /// Content as it is, under its digest in hex: for programs from before objects were encrypted.
    Plain(Digest),
    /// Ciphertext, under 32 bytes that follow from the content's digest. The text is base64url without padding, which is no digest in
    /// hex.
    Sealed([u8; 32]),
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(digest) => fmt::Display::fmt(digest, f),
            Self::Sealed(bytes) => f.write_str(&URL_SAFE_NO_PAD.encode(bytes)),
        }
    }
}

impl FromStr for ObjectName {
    type Err = InputError;

    fn from_str(text: &str) -> Result<Self, InputError> {
        if let Ok(digest) = text.parse() {
            return Ok(Self::Plain(digest));
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(Self::Sealed)
            .ok_or(InputError::new("invalid_value", "an object is named by 64 hex digits or 43 of base64url"))
    }
}

/// What follows from the digest of a content and the id of a log: the name, the key and the mark of its object.
#[derive(Clone)]
pub struct ObjectSecret(Hkdf<Sha256>);

impl ObjectSecret {
    /// The secret of the content with this digest in this log: HKDF-SHA256 over the digest, with the text of the log's id as salt.
    #[must_use]
    pub fn of(log_id: LogId, digest: Digest) -> Self {
        Self(Hkdf::new(Some(alloc::format!("{log_id}").as_bytes()), digest.as_bytes()))
    }

    /// The name of the object.
    #[must_use]
    pub fn name(&self) -> ObjectName {
        ObjectName::Sealed(self.derived(&[NAME]))
    }

    /// Encrypts or decrypts the content, from its first byte on.
    #[must_use]
    pub fn cipher(&self) -> ObjectCipher {
        ObjectCipher(ChaCha20::new(&self.derived(&[KEY]).into(), &[0; 12].into()))
    }

    /// What the relay writes beside an object whose ciphertext has this SHA-256, in hex. By it the relay knows its own objects without
    /// reading them: who does not know the digest of the content can't make it, and learns nothing from it.
    #[must_use]
    pub fn mark(&self, ciphertext: Digest) -> String {
        hex::encode(self.derived(&[MARK, &[0], ciphertext.as_bytes()]))
    }

    fn derived(&self, context: &[&[u8]]) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.0.expand_multi_info(context, &mut bytes).expect("BUG: HKDF-SHA256 gives 32 bytes");
        bytes
    }
}

impl fmt::Debug for ObjectSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObjectSecret")
    }
}

/// The keystream of one object, at the byte up to which it was applied.
pub struct ObjectCipher(ChaCha20);

impl ObjectCipher {
    /// Encrypts plaintext, or decrypts ciphertext: the bytes that follow those of the last call.
    ///
    /// # Panics
    /// After 256 GiB, far above the largest content.
    pub fn apply(&mut self, next: &mut [u8]) {
        self.0.apply_keystream(next);
    }

    /// The same, with the result in `output`, whose former bytes are lost: one pass over memory less than a copy.
    ///
    /// # Panics
    /// As [`ObjectCipher::apply`].
    pub fn apply_to(&mut self, next: &[u8], output: &mut Vec<u8>) {
        output.resize(next.len(), 0);
        self.0.apply_keystream_b2b(next, output);
    }
}

impl fmt::Debug for ObjectCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObjectCipher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;
    use uuid::Uuid;

    #[test]
    fn name_key_and_mark_depend_on_the_content_and_on_the_log() {
        let (log, other) = (LogId::from(Uuid::from_u128(1)), LogId::from(Uuid::from_u128(2)));
        let (digest, ciphertext) = (Digest::of(b"content"), Digest::of(b"ciphertext"));
        let all = |secret: ObjectSecret| {
            let mut keystream = Vec::from([0; 64]);
            secret.cipher().apply(&mut keystream);
            (secret.name().to_string(), keystream, secret.mark(ciphertext))
        };
        let of = all(ObjectSecret::of(log, digest));
        assert_eq!(of, all(ObjectSecret::of(log, digest)));
        for differs in [ObjectSecret::of(other, digest), ObjectSecret::of(log, Digest::of(b"Content"))] {
            let (name, keystream, mark) = all(differs);
            assert!(of.0 != name && of.1 != keystream && of.2 != mark);
        }
        assert_ne!(of.2, ObjectSecret::of(log, digest).mark(digest), "the mark depends on the ciphertext");
    }

    #[test]
    fn chunks_are_decrypted_as_the_whole_is_encrypted_whatever_their_sizes() {
        let content: Vec<u8> = (0..1_000_u32).map(|number| (number % 251) as u8).collect();
        let secret = ObjectSecret::of(Uuid::from_u128(1).into(), Digest::of(&content));
        let mut whole = content.clone();
        secret.cipher().apply(&mut whole);
        for size in [1, 63, 64, 65, 999] {
            let (mut cipher, mut read) = (secret.cipher(), whole.clone());
            read.chunks_mut(size).for_each(|chunk| cipher.apply(chunk));
            assert_eq!(read, content, "{size}");
            let (mut cipher, mut chunk, mut read) = (secret.cipher(), Vec::from([7; 100]), Vec::new());
            for sealed in whole.chunks(size) {
                cipher.apply_to(sealed, &mut chunk);
                read.extend_from_slice(&chunk);
            }
            assert_eq!(read, content, "{size}");
        }
    }

    #[test]
    fn a_name_is_read_as_it_is_written_and_its_kind_shows() {
        let digest = Digest::of(b"content");
        let sealed = ObjectSecret::of(Uuid::from_u128(1).into(), digest).name();
        for name in [ObjectName::Plain(digest), sealed] {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        for refused in ["", "x", &digest.to_string().to_uppercase(), &sealed.to_string()[1..]] {
            assert!(refused.parse::<ObjectName>().is_err(), "{refused}");
        }
    }
}
