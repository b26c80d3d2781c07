//! From bytes to a desired record, by the pinned key.
//!
//! What always holds: the verifier requires the signature; nothing in the message can say that none is needed.

use rmp_serde::from_slice;
use schema::desired::Desired;
use schema::digest::Digest;
use schema::position::Position;
use schema::report::RecordRef;
use schema::seal::{PublicKey, SignatureError, SignedRecord};
use schema::wire::{Record as _, RecordError};
use serde::Deserialize;

/// Why bytes are no record that this node believes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Nobody vouches for it.
    #[error("the record is not signed")]
    Unsigned,
    /// Somebody else, or nobody, vouches for it.
    #[error(transparent)]
    BadSignature(#[from] SignatureError),
    /// It can't be read.
    #[error(transparent)]
    Unreadable(#[from] RecordError),
}

impl VerifyError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unsigned => "missing_signature",
            Self::BadSignature(_) => "bad_signature",
            Self::Unreadable(why) => why.code(),
        }
    }
}

/// The record in `bytes`, if `key` signed it.
///
/// # Errors
/// If it is not signed, not by `key`, or not readable.
pub fn open(bytes: &[u8], key: &PublicKey) -> Result<Desired, VerifyError> {
    let signed =
        SignedRecord::read(bytes).map_err(|why| if is_unsigned(bytes) { VerifyError::Unsigned } else { why.into() })?;
    Ok(Desired::read(key.open(&signed)?)?)
}

/// A map like the envelope, but with no signature of the right form.
fn is_unsigned(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Envelope {
        v: u16,
        #[serde(default)]
        sig: Option<serde::de::IgnoredAny>,
    }
    from_slice::<Envelope>(bytes).is_ok_and(|envelope| envelope.sig.is_none() && envelope.v <= SignedRecord::NEWEST)
}

/// What a record that was refused claims to be, to name it in a report. Nothing else may rest on it.
#[must_use]
pub fn claimed(bytes: &[u8]) -> RecordRef {
    let signed = SignedRecord::read(bytes);
    let body = signed.as_ref().map_or(bytes, |signed| signed.body.as_slice());
    from_slice(body).unwrap_or_else(|_| unnamed(bytes))
}

/// What a record that nobody vouches for claims to be. It is not believed to be what was accepted: what becomes of that is
/// told of that alone.
#[must_use]
pub fn claimed_beside(bytes: &[u8], accepted: Option<RecordRef>) -> RecordRef {
    let claimed = claimed(bytes);
    let takes_its_name = accepted.is_some_and(|accepted| accepted.digest == claimed.digest);
    if takes_its_name { unnamed(bytes) } else { claimed }
}

/// A name for bytes that have none.
fn unnamed(bytes: &[u8]) -> RecordRef {
    RecordRef { position: Position::ZERO, digest: Digest::of(bytes) }
}
