//! What a request changed, or would change.

use alloc::string::String;
use alloc::vec::Vec;

use schema::answer::{Answer, AppendedEvent};
use schema::bundle::PlanBase;
use schema::digest::Digest;
use schema::entity::{Actor, Entity};
use schema::id::{BundleId, CommandId, DocumentId, JobId, NodeId};
use schema::instant::Instant;
use schema::path::DocumentPath;
use schema::plan::FileState;
use schema::position::Position;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rollout_preview::RolloutPreview;

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

/// What a request would be answered, and what it would change on the nodes. Nothing is appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DryRunAnswer {
    /// The answer. The positions in it are those that the events would have if they were appended now.
    #[serde(flatten)]
    pub answer: Answer,
    /// Always true.
    pub dry_run: bool,
    /// The nodes that the request concerns, with the digests of their desired records.
    pub desired: Vec<NodeChange>,
    /// The digest of the plan, for `If-Match`: the request is then appended only if it comes out exactly so. Null if the request can't come
    /// with a plan.
    pub plan: Option<Digest>,
    /// The state that the request was decided against.
    pub base: PlanBase,
    /// The nodes on which files change, that are retired, or that may try again: the first 1,000 of them.
    pub nodes: Vec<PlannedNodeView>,
    /// How many such nodes there are beside these.
    pub more: usize,
    /// The jobs whose specs change.
    pub jobs: Vec<JobChange>,
    /// The rollouts that the request starts, and what they would do from now on. Who is heard and what nodes run is no part of the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rollouts: Vec<RolloutPreview>,
    /// What the request makes that is not there before it.
    pub creates: Vec<Entity>,
    /// What the request removes because it leaves a bundle.
    pub prunes: Vec<Entity>,
    /// What the request takes from one bundle into another.
    pub moves: Vec<BundleMove>,
    /// Whether the caller may send the request.
    pub permitted: bool,
}

/// An entity that comes from one bundle into another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BundleMove {
    /// The entity.
    pub entity: Entity,
    /// The bundle that loses it.
    pub from: BundleId,
    /// The bundle that gets it.
    pub to: BundleId,
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
