//! Rollouts: changes of documents that reach nodes stage by stage.

use alloc::string::String;
use alloc::vec::Vec;

use schema::digest::Digest;
use schema::entity::Actor;
use schema::id::{DocumentId, Id, NodeId, RolloutId};
use schema::instant::Instant;
use schema::path::DocumentPath;
use schema::position::{Position, Version};
use schema::rollout::{AbsenceLimit, FailureAction, FailureCounts, FailureLimit, OutcomeCounts, StageGate, StageQuota};
use schema::target::Target;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nodes that an answer names at most in one list about a rollout; more are counted.
pub const NODES_NAMED_MAX: usize = 100;

/// Nodes: the first 100 by name, and the number of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NamedNodes {
    /// The nodes, at most 100 of them.
    pub nodes: Vec<NodeId>,
    /// How many more there are.
    pub more: usize,
}

impl From<Vec<NodeId>> for NamedNodes {
    fn from(mut nodes: Vec<NodeId>) -> Self {
        let more = nodes.len().saturating_sub(NODES_NAMED_MAX);
        nodes.truncate(NODES_NAMED_MAX);
        Self { nodes, more }
    }
}

/// A rollout as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RolloutSummary {
    /// The rollout's id, which no other rollout ever has.
    pub id: RolloutId,
    /// What it does: `draft`, `running`, `paused` or `halted`; or how it ended: `promoted`, `completed` or `aborted`.
    pub status: String,
    /// The stage that is open, by name; null before the rollout is started and after it has ended.
    pub stage: Option<Id>,
    /// How many nodes have its changes: after its end none any more, because then every node has what is desired.
    pub released: usize,
    /// How many of them have not settled yet.
    pub in_flight: usize,
    /// What became of the nodes that it released.
    pub counts: OutcomeCounts,
    /// How many failures it has: nodes that failed, or are late or lost.
    pub failed: u32,
    /// What it waits for at the moment; null for a draft and after its end.
    pub waiting: Option<WaitView>,
    /// Who ended it, and why; null before.
    pub ended: Option<RolloutEndView>,
    /// How many events it has had.
    pub version: Version,
    /// Its last event.
    pub position: Position,
    /// When that was.
    pub at: Instant,
}

/// What a rollout waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaitView {
    /// `settle` (nodes apply its changes), `bake` (the stage proves itself by time), `approval` (a person approves the stage), `offline` (too many nodes
    /// are silent), `evidence` (too few nodes have confirmed the changes, and there are no more to release), `other_rollout` (nodes apply the
    /// changes of another one), `busy` (nodes are on their way to what was desired before, or rejected that), `paused`, `halted`.
    #[serde(rename = "for")]
    pub reason: String,
    /// When the wait is over at the latest; missing where no clock ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Instant>,
    /// The nodes that it waits for.
    #[serde(flatten)]
    pub nodes: NamedNodes,
}

/// How a rollout ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RolloutEndView {
    /// Who ended it: a person, or the reconciler.
    pub by: Actor,
    /// Why, in words of whoever ended it.
    pub reason: Option<String>,
    /// The nodes that had failed, or were late or lost; at most 100 of them.
    pub failed: Vec<NodeId>,
}

/// A rollout with its policy and its changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RolloutDetail {
    /// The rollout.
    #[serde(flatten)]
    pub summary: RolloutSummary,
    /// Its policy; null after its end, when its event `RolloutOpened` still has it.
    pub policy: Option<PolicyView>,
    /// The failures of nodes that were well when they were released; null after its end.
    pub failures: Option<FailureCounts>,
    /// What it has staged; nothing after its end.
    pub changes: Vec<StagedChange>,
    /// Its stages, and what they have released; nothing after its end.
    pub stages: Vec<StageView>,
}

/// The policy of a rollout, without its stages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyView {
    /// How many nodes apply the changes at once.
    pub max_in_flight: u32,
    /// Seconds that a node has to confirm the changes.
    pub settle_s: u32,
    /// How many failures it goes on with: as it was opened, or as a person has allowed since.
    pub max_failures: FailureLimit,
    /// What happens when there are more.
    pub on_failure: FailureAction,
    /// How much of a stage may be silent when it passes.
    pub absent_max: AbsenceLimit,
}

/// What a rollout makes of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StagedChange {
    /// The document.
    pub document: DocumentId,
    /// Its path as it becomes; null if it is removed.
    pub path: Option<DocumentPath>,
    /// The digest of its content as it becomes; null if it is removed.
    pub digest: Option<Digest>,
    /// The version of the document that the staging made.
    pub version: Version,
    /// The event that staged it.
    pub position: Position,
}

/// A stage, and what it has released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StageView {
    /// The name of the stage.
    pub name: Id,
    /// Which nodes of the rollout belong to it; null if all of them do.
    pub select: Option<Target>,
    /// How many of these it releases.
    pub up_to: StageQuota,
    /// How many nodes must have confirmed the changes before it passes.
    pub at_least: u32,
    /// Seconds that go by, after the last node has settled, before it passes.
    pub bake_s: u32,
    /// Whether a person must approve it.
    pub gate: StageGate,
    /// Whether a person has.
    pub approved: bool,
    /// How many nodes it had, not released before, when it opened; 0 before.
    pub members: u32,
    /// How many of them it releases.
    pub quota: u32,
    /// How many it has released.
    pub released: u32,
    /// What became of these.
    pub counts: OutcomeCounts,
}
