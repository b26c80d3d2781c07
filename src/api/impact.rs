//! What a request changed, and what one changes on a node.

use alloc::string::String;
use alloc::vec::Vec;

use schema::answer::AppendedEvent;
use schema::digest::Digest;
use schema::entity::Actor;
use schema::id::{CommandId, DocumentId, JobId, NodeId};
use schema::instant::Instant;
use schema::path::DocumentPath;
use schema::plan::FileState;
use schema::position::Position;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a request changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImpactView {
    /// The request.
    pub command_id: CommandId,
    /// The request's last event.
    pub position: Position,
    /// Who sent it.
    pub actor: Actor,
    /// When it was appended.
    pub at: Instant,
    /// Why, in the sender's words.
    pub reason: Option<String>,
    /// Its events.
    pub events: Vec<AppendedEvent>,
    /// The nodes whose desired records have other files than before.
    pub nodes: Vec<NodeChange>,
    /// The nodes that the request concerns and whose desired records have the same files as before.
    pub unchanged: Vec<NodeId>,
    /// The jobs whose specs changed.
    pub jobs: Vec<JobChange>,
}

/// The digest of a node's desired record before and after; null where there is no record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeChange {
    /// The node.
    pub node: NodeId,
    /// The digest before.
    pub before: Option<Digest>,
    /// The digest after.
    pub after: Option<Digest>,
}

/// The digest of a job's spec before and after; null where there is no job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobChange {
    /// The job.
    pub job: JobId,
    /// The digest before.
    pub before: Option<Digest>,
    /// The digest after.
    pub after: Option<Digest>,
}

/// What a request changes on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedNodeView {
    /// The digests of the node's desired record.
    #[serde(flatten)]
    pub record: NodeChange,
    /// The files below `files/` that change.
    pub files: Vec<PlannedFileView>,
    /// Whether the request retires the node.
    pub retired: bool,
    /// Whether the request lets the node try again.
    pub may_retry: bool,
}

/// A file that a request changes on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedFileView {
    /// The path below `files/`.
    pub path: DocumentPath,
    /// The file before; null if there was none.
    pub before: Option<FileState>,
    /// The file after; null if there is none.
    pub after: Option<FileState>,
    /// The document that the file comes from after the request.
    pub document: Option<DocumentId>,
}
