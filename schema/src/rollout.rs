//! Staged rollouts: changes of documents that reach nodes stage by stage, and what the log says of how they went.
//!
//! A rollout is a set of nodes that grows: only an event that names a node puts it there, and only nodes of the set get the changes.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::{Id, NodeId};
use crate::target::Target;

/// The name of the last stage, which is all nodes.
pub const REST: &str = "rest";

/// The policy of a rollout: its stages, and what stops it. It never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RolloutOpened {
    /// The stages, in their order. The last one is named `rest` and is all nodes; it is added where it is not given.
    #[serde(default)]
    #[cfg_attr(feature = "json-schema", schemars(length(max = crate::limit::ROLLOUT_STAGES_MAX)))]
    pub stages: Vec<RolloutStage>,
    /// How many nodes apply the changes at once: 1 to 1,000.
    #[cfg_attr(feature = "json-schema", schemars(range(min = 1, max = crate::limit::IN_FLIGHT_MAX)))]
    pub max_in_flight: u32,
    /// Seconds that a node has to confirm the changes, from its release on. A node that did not is a failure.
    #[serde(default = "settle_s_default")]
    #[cfg_attr(feature = "json-schema", schemars(range(min = crate::limit::SETTLE_S_MIN, max = crate::limit::SETTLE_S_MAX)))]
    pub settle_s: u32,
    /// How many failures the rollout goes on with.
    #[serde(default)]
    pub max_failures: FailureLimit,
    /// What happens when there are more.
    #[serde(default)]
    pub on_failure: FailureAction,
    /// How much of a stage may be silent when it passes.
    #[serde(default)]
    pub absent_max: AbsenceLimit,
}

/// One stage of a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RolloutStage {
    /// The name, which no other stage of the rollout has.
    pub name: Id,
    /// Which nodes of the rollout belong to the stage, at any time; all of them unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Target>,
    /// How many of these nodes the stage releases.
    #[serde(default)]
    pub up_to: StageQuota,
    /// How many nodes must have confirmed the changes in this stage before it passes; at least 1, so that nothing passes on no evidence.
    #[serde(default = "at_least_default")]
    #[cfg_attr(feature = "json-schema", schemars(range(min = 1)))]
    pub at_least: u32,
    /// Seconds that must go by, after the last node has settled, before the stage passes.
    #[cfg_attr(feature = "json-schema", schemars(range(max = crate::limit::BAKE_S_MAX)))]
    pub bake_s: u32,
    /// Whether a person must approve the stage before it passes.
    #[serde(default)]
    pub gate: StageGate,
}

/// How many nodes of a stage it releases: of those that it has when it opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", expecting = "an object such as {\"percent\": 10} or {\"count\": 3}")]
pub enum StageQuota {
    /// So many nodes.
    Count(#[cfg_attr(feature = "json-schema", schemars(range(min = 1)))] u32),
    /// So many of a hundred, rounded down, and at least one.
    Percent(#[cfg_attr(feature = "json-schema", schemars(range(min = 1, max = 100)))] u32),
}

impl Default for StageQuota {
    fn default() -> Self {
        Self::Percent(100)
    }
}

impl StageQuota {
    /// The number of nodes, of so many members.
    #[must_use]
    pub fn of(self, members: u32) -> u32 {
        let of_all = |percent| u64::from(members) * u64::from(percent) / 100;
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => u32::try_from(of_all(percent)).unwrap_or(u32::MAX).max(1),
        }
    }
}

/// Who lets a stage pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StageGate {
    /// The evidence alone.
    #[default]
    Auto,
    /// The evidence, and a person who has approved the stage.
    Approval,
}

/// How many failures a rollout goes on with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object such as {\"count\": 1}")]
pub struct FailureLimit {
    /// So many nodes may have failed, or be late or lost.
    pub count: u32,
}

/// How much of a stage may be silent when it passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object such as {\"percent\": 50}")]
pub struct AbsenceLimit {
    /// So many of a hundred of its nodes.
    #[cfg_attr(feature = "json-schema", schemars(range(max = 100)))]
    pub percent: u32,
}

impl Default for AbsenceLimit {
    fn default() -> Self {
        Self { percent: 50 }
    }
}

impl AbsenceLimit {
    /// Whether so many silent nodes of so many are few enough.
    #[must_use]
    pub fn allows(self, silent: u32, members: u32) -> bool {
        u64::from(silent) * 100 <= u64::from(members) * u64::from(self.percent)
    }
}

/// What a rollout does when it has too many failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FailureAction {
    /// It releases no more nodes, and waits for a person.
    #[default]
    Halt,
    /// It takes the changes back from every node that got them.
    Abort,
}

/// A stage began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageOpened {
    /// The name of the stage.
    pub stage: Id,
    /// How many nodes it had that were not released before.
    pub members: u32,
    /// How many of them it releases.
    pub quota: u32,
}

/// A stage passed: its nodes have confirmed the changes long enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagePassed {
    /// The name of the stage.
    pub stage: Id,
    /// What became of the nodes that it released.
    pub counts: OutcomeCounts,
    /// How many of its nodes were silent and were not released.
    pub absent: u32,
}

/// A person approved a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageApproved {
    /// The name of the stage.
    pub stage: Id,
}

/// What became of nodes that were released. A node counts under the last thing that became of it, whatever is done to it afterwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct OutcomeCounts {
    /// They run the changes, and their checks and hooks accepted them.
    pub confirmed: u32,
    /// Their checks or hooks rejected the changes, or they refused the record.
    pub failed: u32,
    /// They were heard and did not confirm the changes in time.
    pub late: u32,
    /// They were not heard, or were taken away while they applied the changes.
    pub lost: u32,
    /// The changes changed nothing on them.
    pub moot: u32,
    /// Something else is in force where the changes would be, since after their release.
    pub shadowed: u32,
}

/// The failures of a rollout: of nodes that were well when they were released.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct FailureCounts {
    /// Their checks or hooks rejected the changes, or they refused the record.
    pub failed: u32,
    /// They were heard and did not confirm the changes in time.
    pub late: u32,
    /// They were not heard, or were taken away while they applied the changes.
    pub lost: u32,
}

impl FailureCounts {
    /// All of them.
    #[must_use]
    pub const fn total(self) -> u32 {
        self.failed + self.late + self.lost
    }
}

/// A node and the digest of its record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDigest {
    /// The node.
    pub id: NodeId,
    /// The digest of its record.
    pub digest: Digest,
}

/// Nodes that joined the rollout, and get its changes from the event on: at most 1,000 in one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodesReleased {
    /// The stage that released them.
    pub stage: Id,
    /// The nodes whose files change, with the digests of their records from the event on.
    pub nodes: Vec<NodeDigest>,
    /// The nodes on which nothing changes.
    pub moot: Vec<NodeId>,
}

/// Nodes that did not confirm the changes in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodesOverdue {
    /// The nodes that were heard meanwhile.
    pub late: Vec<NodeId>,
    /// The nodes that were not, or that the changes are not for any more.
    pub lost: Vec<NodeId>,
}

/// Nodes of which something else changed before they confirmed the changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodesExpected {
    /// The nodes whose records have other digests now, which confirm the changes as well.
    pub nodes: Vec<NodeDigest>,
    /// The nodes on which nothing of the rollout is in force any more.
    pub shadowed: Vec<NodeId>,
}

/// Too many nodes failed, so that no more are released until a person resumes the rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutHalted {
    /// The failures.
    pub failures: FailureCounts,
}

/// The changes are taken back from every node that got them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutAborted {
    /// The failures, where there were too many; absent where a person aborted the rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<FailureCounts>,
}

/// A person let the rollout go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutResumed {
    /// How many failures it goes on with from now on; absent if as many as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_failures: Option<FailureLimit>,
}

/// How many nodes a request may change files of, unless it says `now`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardSet {
    /// So many nodes; null where there is no limit.
    pub nodes_max: Option<u32>,
}

const fn settle_s_default() -> u32 {
    crate::limit::SETTLE_S_DEFAULT
}

const fn at_least_default() -> u32 {
    1
}
