//! Explanations: the events that a file or a job follows from, or that keep it away.

use alloc::string::String;
use alloc::vec::Vec;

use schema::desired::{EntryKind, Source};
use schema::digest::Digest;
use schema::document_mode::DocumentMode;
use schema::id::{JobId, NodeId, RolloutId};
use schema::report::RecordRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::CausingEvent;
use crate::node::NodeStatus;

/// Why a node has a file, or has it not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileExplanation {
    /// The node.
    pub node: NodeId,
    /// The file's path.
    pub path: String,
    /// The state of the node.
    #[serde(flatten)]
    pub status: NodeStatus,
    /// The record that the node must run.
    pub desired: RecordRef,
    /// What the node runs at the path, which may be something else.
    pub runs: RunningFile,
    /// The open rollout that changes what the node has at the path, and has not released the node yet; null if there is none, or the server
    /// is an older one.
    #[serde(default)]
    pub awaits: Option<RolloutId>,
    /// What is desired at the path, and why.
    #[serde(flatten)]
    pub derivation: DerivationView,
}

/// Why a job is as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobExplanation {
    /// The job.
    pub job: JobId,
    /// Its spec and holder, and why.
    #[serde(flatten)]
    pub derivation: DerivationView,
}

/// What is there, and the events that it follows from; or that nothing is there, and the events that keep it away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DerivationView {
    /// The file, or the spec of the job; null if there is none.
    pub found: Option<EntryView>,
    /// The events, the most important one first.
    pub because: Vec<ExplainingEvent>,
    /// How many further obstacles or overridden documents there are, which are not listed.
    pub more: usize,
}

/// What a node runs at a path: the file in the record that the node runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunningFile {
    /// Whether it is known: the node has reported, and this log has the record.
    pub known: bool,
    /// The file; null if there is none, or if it is not known.
    pub file: Option<EntryView>,
}

/// A file of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntryView {
    /// What sort of file.
    pub kind: EntryKind,
    /// Names its bytes.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// The entity that it follows from.
    pub source: Source,
    /// Its mode. Older servers do not say: then it is `644`.
    #[serde(default)]
    pub mode: DocumentMode,
}

/// An event, and its part in an explanation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainingEvent {
    /// Its part. Of what is there: `put`, `accepted`, `proposed`, `enrolled`, `labelled`, `staged`, `released`, `opened`, `promoted`, `overrode`, `attestation`, `assessment`, `control`, `component`,
    /// `respecified`, `made`, `claimed`, `completed`, `renewed`. What keeps it away: `unfit`, `left`, `withdrawn`, `retired`, `claimed`, `waits`,
    /// `removed`.
    pub part: String,
    /// The event.
    #[serde(flatten)]
    pub cause: CausingEvent,
}
