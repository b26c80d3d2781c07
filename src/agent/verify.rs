//! Verifies the signature of a record with the pinned key.
//!
//! Invariant: a signature is always required; nothing in the message can turn that off.

use rmp_serde::from_slice;
use schema::desired::Desired;
use schema::digest::Digest;
use schema::position::Position;
use schema::report::RecordRef;
use schema::seal::{PublicKey, SignatureError, SignedRecord};
use schema::wire::{RecordError, WireRecord as _};
use serde::Deserialize;

/// The bytes are not a record that the node may apply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// There is no signature.
    #[error("the record is not signed")]
    Unsigned,
    /// The signature is not one of the pinned key.
    #[error(transparent)]
    BadSignature(#[from] SignatureError),
    /// The bytes are damaged, or of a newer format.
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

/// Whether the bytes are an envelope without a signature.
fn is_unsigned(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Envelope {
        v: u16,
        #[serde(default)]
        sig: Option<serde::de::IgnoredAny>,
    }
    from_slice::<Envelope>(bytes).is_ok_and(|envelope| envelope.sig.is_none() && envelope.v <= SignedRecord::NEWEST)
}

/// Position and digest that a refused record claims to have: only for naming it in a report, since they are not verified.
#[must_use]
pub fn claimed(bytes: &[u8]) -> RecordRef {
    let signed = SignedRecord::read(bytes);
    let body = signed.as_ref().map_or(bytes, |signed| signed.body.as_slice());
    from_slice(body).unwrap_or_else(|_| unnamed(bytes))
}

/// As [`claimed`], for a record whose signature is wrong. It must not carry the digest of the accepted record, or its refusal
/// would be reported as that of the accepted one.
#[must_use]
pub fn claimed_beside(bytes: &[u8], accepted: Option<RecordRef>) -> RecordRef {
    let claimed = claimed(bytes);
    let takes_its_name = accepted.is_some_and(|accepted| accepted.digest == claimed.digest);
    if takes_its_name { unnamed(bytes) } else { claimed }
}

/// Position 0 and the digest of the bytes themselves.
fn unnamed(bytes: &[u8]) -> RecordRef {
    RecordRef { position: Position::ZERO, digest: Digest::of(bytes) }
}
