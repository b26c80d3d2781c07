//! Ed25519 signatures of the server on desired records and checkpoints.
//!
//! The verifier decides that a signature is required and which key to trust; the message never does.

use alloc::vec::Vec;
use core::fmt;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::LogId;
use crate::invalid::InputError;
use crate::wire::WireRecord;

/// A record with its signature and the id of the key that made the signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedRecord {
    /// The format of the envelope; the body has a format of its own.
    pub v: u16,
    /// The id of the public key: see [`PublicKey::id`].
    pub key_id: Digest,
    /// The Ed25519 signature over the bytes of `body`.
    #[serde(with = "serde_bytes")]
    pub sig: [u8; 64],
    /// The record that is signed, as its own MessagePack map.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
}

impl WireRecord for SignedRecord {
    const WHAT: &'static str = "signed record";
}

/// The server's public key, as bucket `cfg_keys` holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKeyRecord {
    /// The format of the record.
    pub v: u16,
    /// The id of the key: see [`PublicKey::id`].
    pub key_id: Digest,
    /// The 32 bytes of the Ed25519 public key.
    #[serde(with = "serde_bytes")]
    pub key: [u8; 32],
    /// The log whose key it is; absent where an older program published it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_id: Option<LogId>,
}

impl PublicKeyRecord {
    /// The same record with the id of its log.
    #[must_use]
    pub fn of_log(self, log_id: LogId) -> Self {
        Self { log_id: Some(log_id), ..self }
    }
}

impl WireRecord for PublicKeyRecord {
    const WHAT: &'static str = "public key";
}

/// A public key, with which signatures are verified.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// The secret key, with which the server signs. Its debug form shows the public half only.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

/// The signature is missing, by another key, or wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The message names another key than the trusted one.
    #[error("it is signed by key {}, not by the trusted {}", .found.short(), .trusted.short())]
    OtherKey {
        /// The id of the key that the message names.
        found: Digest,
        /// The id of the trusted key.
        trusted: Digest,
    },
    /// The trusted key did not make this signature over these bytes.
    #[error("the signature is wrong")]
    Wrong,
}

impl PublicKey {
    /// A public key from its 32 bytes.
    ///
    /// # Errors
    /// If they are no point on the curve.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, InputError> {
        VerifyingKey::from_bytes(bytes).map(Self).map_err(|_| InputError::new("invalid_value", "no Ed25519 public key"))
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Whether the key is one of the few for which signatures verify that nobody made.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        self.0.is_weak()
    }

    /// The key's name: SHA-256 of its bytes.
    #[must_use]
    pub fn id(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }

    /// The key as bucket `cfg_keys` holds it.
    #[must_use]
    pub fn record(&self) -> PublicKeyRecord {
        PublicKeyRecord { v: PublicKeyRecord::NEWEST, key_id: self.id(), key: *self.as_bytes(), log_id: None }
    }

    /// The body of a record that this key signed.
    ///
    /// # Errors
    /// If it did not.
    pub fn open<'a>(&self, signed: &'a SignedRecord) -> Result<&'a [u8], SignatureError> {
        let trusted = self.id();
        if signed.key_id != trusted {
            return Err(SignatureError::OtherKey { found: signed.key_id, trusted });
        }
        if !self.has_signed(&signed.body, &signed.sig) {
            return Err(SignatureError::Wrong);
        }
        Ok(&signed.body)
    }

    /// Whether this key made a signature over these bytes.
    #[must_use]
    pub fn has_signed(&self, bytes: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(bytes, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
    }
}

impl SecretKey {
    /// The secret key of a 32-byte seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The public key that belongs to it.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs `body`. The same body always gets the same bytes.
    #[must_use]
    pub fn seal(&self, body: Vec<u8>) -> SignedRecord {
        SignedRecord { v: SignedRecord::NEWEST, key_id: self.public().id(), sig: self.sign(&body), body }
    }

    /// The signature over `bytes`. Whatever is signed must say what it is by its first byte, because one key signs all:
    /// the body of a record is a MessagePack map (0x80 to 0x8f, 0xde or 0xdf), a checkpoint is text that begins with a letter.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(bytes).to_bytes()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id().short())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {:?})", self.public())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_trusted_key_over_the_same_bytes_opens_a_record() {
        let key = SecretKey::from_seed(&[7; 32]);
        let signed = key.seal(b"body".to_vec());
        assert_eq!(key.public().open(&signed), Ok(b"body".as_slice()));
        let other = SecretKey::from_seed(&[8; 32]);
        assert!(matches!(other.public().open(&signed), Err(SignatureError::OtherKey { .. })));
        let claimed = SignedRecord { key_id: other.public().id(), ..signed.clone() };
        assert_eq!(other.public().open(&claimed), Err(SignatureError::Wrong));
        let changed = SignedRecord { body: b"bodY".to_vec(), ..signed.clone() };
        assert_eq!(key.public().open(&changed), Err(SignatureError::Wrong));
        let unsigned = SignedRecord { sig: [0; 64], ..signed };
        assert_eq!(key.public().open(&unsigned), Err(SignatureError::Wrong));
    }
}
