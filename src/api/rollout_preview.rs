//! What a rollout would do that a request starts, as a dry run shows it.

use alloc::vec::Vec;

use schema::id::{Id, NodeId, RolloutId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::impact::PlannedNodeView;
use crate::rollout::NamedNodes;

/// A rollout that a request starts, as it would go from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RolloutPreview {
    /// The rollout.
    pub rollout: RolloutId,
    /// How many nodes its changes are for.
    pub members: usize,
    /// Its stages, in their order.
    pub stages: Vec<StagePreview>,
    /// Seconds for which its stages bake together: it takes longer than that.
    pub bake_s: u64,
    /// The node whose desired record becomes the largest; null if there are no members.
    pub largest_record: Option<RecordSize>,
    /// What changes on the nodes, each as it would be once it is released: the first 1,000 of them.
    pub nodes: Vec<PlannedNodeView>,
    /// How many such nodes there are beside these.
    pub more: usize,
    /// Members on which nothing changes.
    pub moot: NamedNodes,
    /// Members that are not heard. They are released when they return.
    pub offline: NamedNodes,
    /// Members that rejected what they have to run: only the last stage releases them, and their failures do not count.
    pub unwell: NamedNodes,
    /// Members that are on their way to what is desired of them already. They are released when they run it.
    pub busy: NamedNodes,
    /// Members that apply the changes of another rollout. They are released when they have settled.
    pub other_rollout: NamedNodes,
    /// Members that rejected exactly what they would get. They fail at once, unless `retry_node` lets them try it again.
    pub rejected: NamedNodes,
}

/// A stage as it would go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StagePreview {
    /// The name of the stage.
    pub name: Id,
    /// How many nodes it would have that no stage before it releases. Without any, the last stage passes when it has
    /// baked, and another one waits until there is a node for it.
    pub members: u32,
    /// How many of them it would release.
    pub quota: u32,
    /// Those of them that could be released now, in the order in which they would be: as many as the quota, and among them such on which nothing
    /// changes.
    pub first: NamedNodes,
}

/// How large a node's desired record becomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordSize {
    /// The node.
    pub node: NodeId,
    /// Bytes of the record.
    pub bytes: usize,
}
