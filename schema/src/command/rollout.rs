//! The commands about staged rollouts.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::compliance::{Definition, define};
use crate::id::{Id, NodeId, RolloutId};
use crate::invalid::InputError;
use crate::limit::{BAKE_S_DEFAULT, BAKE_S_MAX, IN_FLIGHT_MAX, ROLLOUT_STAGES_MAX, SETTLE_S_MAX, SETTLE_S_MIN};
use crate::rollout::{FailureLimit, REST, RolloutOpened, RolloutStage, StageGate, StageQuota};

/// The fields of `resume_rollout`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ResumeRollout {
    /// The id of the rollout.
    pub id: RolloutId,
    /// How many failures it goes on with from now on; a halted one needs more than it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_failures: Option<FailureLimit>,
}

/// The fields of `approve_stage`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ApproveStage {
    /// The id of the rollout.
    pub id: RolloutId,
    /// The name of the stage, which must be the one that is open.
    pub stage: Id,
}

/// The fields of `set_guard`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SetGuard {
    /// How many nodes a request may change files of, unless it is a rollout or says `now`; null for no limit.
    #[serde(deserialize_with = "Option::deserialize")]
    #[cfg_attr(feature = "json-schema", schemars(required))]
    pub nodes_max: Option<u32>,
}

/// What the reconciler saw of the nodes of a rollout. What follows from it is decided at the head of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdvanceRollout {
    /// The id of the rollout.
    pub id: RolloutId,
    /// Nodes that were heard lately, at most 1,000.
    pub heard: BTreeSet<NodeId>,
    /// Nodes that were silent for a full term, in which somebody listened.
    pub silent: BTreeSet<NodeId>,
    /// Nodes whose time to confirm has gone by on the reconciler's own monotonic clock, which nobody can set forward.
    pub overdue: BTreeSet<NodeId>,
    /// Whether the time that the open stage bakes has gone by on that clock.
    pub baked: bool,
}

impl Definition for RolloutOpened {
    const FIELDS: &[&str] = &["stages", "max_in_flight", "settle_s", "max_failures", "on_failure", "absent_max"];

    fn check(&self) -> Result<(), InputError> {
        within("max_in_flight", self.max_in_flight, 1, IN_FLIGHT_MAX)?;
        within("settle_s", self.settle_s, SETTLE_S_MIN, SETTLE_S_MAX)?;
        within("absent_max.percent", self.absent_max.percent, 0, 100)?;
        if self.stages.len() > ROLLOUT_STAGES_MAX {
            let detail = format!("a rollout has at most {ROLLOUT_STAGES_MAX} stages, this one {}", self.stages.len());
            return Err(InputError::new("too_many", detail).at("stages"));
        }
        let mut names = BTreeSet::new();
        for (index, stage) in self.stages.iter().enumerate() {
            let at = |refused: InputError| refused.at(&format!("stages[{index}]"));
            stage.check().map_err(at)?;
            let is_last = index + 1 == self.stages.len();
            if stage.name.as_str() == REST && !(is_last && stage.select.is_none() && stage.is_whole()) {
                let detail =
                    "a stage named `rest` comes last and is all nodes, so it has no `select` and no other `up_to`";
                return Err(at(InputError::new("invalid_value", detail).at("name")));
            }
            if !names.insert(&stage.name) {
                let detail = format!("another stage is named {}", stage.name);
                return Err(at(InputError::new("invalid_value", detail).at("name")));
            }
        }
        Ok(())
    }
}

impl RolloutStage {
    fn check(&self) -> Result<(), InputError> {
        within("bake_s", self.bake_s, 0, BAKE_S_MAX)?;
        within("at_least", self.at_least, 1, u32::MAX)?;
        match self.up_to {
            StageQuota::Percent(percent) => within("up_to.percent", percent, 1, 100),
            StageQuota::Count(count) => {
                within("up_to.count", count, 1, u32::MAX)?;
                let detail = format!("{count} nodes are released, and {} of them could never confirm", self.at_least);
                let is_possible = self.at_least <= count;
                is_possible.then_some(()).ok_or_else(|| InputError::new("invalid_value", detail).at("at_least"))
            }
        }
    }

    fn is_whole(&self) -> bool {
        self.up_to == StageQuota::default()
    }
}

fn within(field: &str, value: u32, min: u32, max: u32) -> Result<(), InputError> {
    match (min..=max).contains(&value) {
        true => Ok(()),
        false if max == u32::MAX => Err(InputError::new("invalid_value", format!("it is {min} or more")).at(field)),
        false => Err(InputError::new("invalid_value", format!("it is from {min} to {max}")).at(field)),
    }
}

/// Reads `open_rollout`, and adds the last stage where it is not given.
pub(super) fn open_rollout<C>(
    fields: Map<String, Value>,
    command: fn(RolloutId, RolloutOpened) -> C,
) -> Result<C, InputError> {
    let (id, mut opened) = define(fields, |id: RolloutId, opened: RolloutOpened| (id, opened))?;
    if opened.stages.last().is_none_or(|last| last.name.as_str() != REST) {
        let bake_s = opened.stages.last().map_or(BAKE_S_DEFAULT, |last| last.bake_s);
        let name = REST.parse().expect("BUG: a word is an id");
        let (up_to, gate) = (StageQuota::default(), StageGate::default());
        opened.stages.push(RolloutStage { name, select: None, up_to, at_least: 1, bake_s, gate });
    }
    Ok(command(id, opened))
}
