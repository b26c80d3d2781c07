//! Checkpoints and proofs, with which an outsider can check that the log only grows and holds an event.

use alloc::string::String;
use alloc::vec::Vec;

use schema::digest::Digest;
use schema::id::LogId;
use schema::instant::Instant;
use schema::position::Position;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the log's key signed about its tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignedCheckpoint {
    /// The log.
    pub log_id: LogId,
    /// How many events the tree has.
    pub position: Position,
    /// The tree's root.
    pub root: Digest,
    /// When it was signed.
    pub at: Instant,
    /// The signed note (C2SP tlog-checkpoint), byte for byte.
    pub note: String,
}

/// The proof (RFC 6962) that an event is in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InclusionProof {
    /// The log.
    pub log_id: LogId,
    /// The event's position. The index of its leaf is one less.
    pub position: Position,
    /// The event's leaf.
    pub leaf: Digest,
    /// How many events the tree has.
    pub size: Position,
    /// The tree's root.
    pub root: Digest,
    /// The hashes beside the path from the leaf to the root, the lowest one first.
    pub hashes: Vec<Digest>,
}

/// The proof (RFC 6962) that one tree is the beginning of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsistencyProof {
    /// The log.
    pub log_id: LogId,
    /// How many events the smaller tree has.
    pub from: Position,
    /// The smaller tree's root.
    pub from_root: Digest,
    /// How many events the larger tree has.
    pub to: Position,
    /// The larger tree's root.
    pub to_root: Digest,
    /// The hashes of the proof.
    pub hashes: Vec<Digest>,
}
