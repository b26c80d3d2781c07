//! A checkpoint: the log's key says what the root of its tree is at a position.
//!
//! It is a `tlog-checkpoint` in a `signed-note` (both of C2SP), so that tools which know nothing of Headwater read it. The
//! note's text is three lines: the origin `headwater/<log id>`, which is the key's name as well, the tree's size and its
//! root in base64. The signature is the log's own Ed25519 key; notes may bear other signatures beside it, which say nothing
//! here.
//!
//! The same key signs desired records. Neither can be taken for the other: a record's body is a MessagePack map, whose first
//! byte is 0x80 or more, and a checkpoint begins with the letter `h`.
//!
//! Absent on purpose: the time. A verifier could not tell whether it is right; the events of the log have their own times.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use schema::digest::Digest;
use schema::id::LogId;
use schema::position::Position;
use schema::seal::{PublicKey, SecretKey};
use signed_note::{Note, Signature, VerificationError, Verifier, Verifiers};
use tlog_tiles::checkpoint::Checkpoint as Body;
use tlog_tiles::tlog::Hash;

/// The type of an Ed25519 signature in a signed note.
const ED25519: u8 = 0x01;

/// The root of a log's tree at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The id of the log.
    pub log_id: LogId,
    /// The size of the tree, which is the position of its last event.
    pub position: Position,
    /// The root of the tree: SHA-256, see RFC 6962.
    pub root: Digest,
}

/// Why a note is no checkpoint of the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note can't be read.
    #[error("it is no signed note with a checkpoint")]
    Malformed,
    /// The note has no signature of the trusted key under the name of this log.
    #[error("it is not signed by the key of {expected}")]
    Unsigned {
        /// The name of the key, as notes have it.
        expected: String,
    },
    /// A signature under the name of the trusted key is wrong.
    #[error("its signature is wrong")]
    Wrong,
    /// The note is about another log.
    #[error("it is about {found}, not about {expected}")]
    OtherLog {
        /// The origin that this log has.
        expected: String,
        /// The origin that the note has.
        found: String,
    },
}

/// The origin of a log in its checkpoints.
#[must_use]
pub fn origin(log_id: LogId) -> String {
    format!("headwater/{log_id}")
}

impl Checkpoint {
    /// The checkpoint as a signed note. The same checkpoint always gets the same bytes.
    #[must_use]
    pub fn sign(&self, key: &SecretKey) -> String {
        let origin = origin(self.log_id);
        let body = Body::new(&origin, self.position.get(), Hash(*self.root.as_bytes()), "");
        let text = body.expect("BUG: an origin is not empty, and there is no extension").to_bytes();
        let id = signed_note::key_id(&origin, &typed(&key.public()));
        let signature = Signature::new(origin, id, key.sign(&text).to_vec());
        let signature = signature.expect("BUG: an origin has neither spaces nor a plus");
        let note = Note::new(&text, &[signature]).expect("BUG: a checkpoint is text that ends with a newline");
        String::from_utf8(note.to_bytes()).expect("BUG: a note is text")
    }

    /// The checkpoint of a note that this log's key signed.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn open(note: &[u8], log_id: LogId, key: &PublicKey) -> Result<Self, CheckpointError> {
        let expected = origin(log_id);
        let trusted = Trusted { id: signed_note::key_id(&expected, &typed(key)), name: expected.clone(), key };
        let note = Note::from_bytes(note).map_err(|_| CheckpointError::Malformed)?;
        let body = Body::from_bytes(note.text()).map_err(|_| CheckpointError::Malformed)?;
        match note.verify(&trusted) {
            Ok(_) => {}
            Err(signed_note::NoteError::InvalidSignature { .. }) => return Err(CheckpointError::Wrong),
            Err(_) => return Err(CheckpointError::Unsigned { expected }),
        }
        if body.origin() != expected {
            return Err(CheckpointError::OtherLog { expected, found: body.origin().into() });
        }
        Ok(Self { log_id, position: body.size().into(), root: Digest::from_bytes(body.hash().0) })
    }
}

/// A key with its type before it, as signed notes name it.
fn typed(key: &PublicKey) -> Vec<u8> {
    [[ED25519].as_slice(), key.as_bytes()].concat()
}

/// The only key that is trusted.
struct Trusted<'a> {
    name: String,
    id: u32,
    key: &'a PublicKey,
}

impl Verifiers for Trusted<'_> {
    fn verifier(&self, name: &str, id: u32) -> Result<&dyn Verifier, VerificationError> {
        match (name, id) == (self.name.as_str(), self.id) {
            true => Ok(self),
            false => Err(VerificationError::UnknownKey { name: name.into(), id }),
        }
    }
}

impl Verifier for Trusted<'_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn key_id(&self) -> u32 {
        self.id
    }

    fn verify(&self, msg: &[u8], sig: &[u8]) -> bool {
        sig.try_into().is_ok_and(|signature| self.key.has_signed(msg, signature))
    }
}
