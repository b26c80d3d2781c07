//! What a request would do: the answer to a dry run, as far as it matters here.
//!
//! Unlike in `api` entities are text, because a newer server may know more kinds.

use std::collections::BTreeMap;

use api::rollout::NamedNodes;
use schema::answer::CommandWarning;
use schema::bundle::PlanBase;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The answer, and the text that it was read from.
#[derive(Debug)]
pub(crate) struct PlannedOutcome {
    pub(crate) outcome: RequestOutcome,
    /// The server's JSON.
    pub(crate) raw: Box<RawValue>,
}

impl PlannedOutcome {
    /// Reads a dry run's answer.
    pub(crate) fn read(raw: Box<RawValue>) -> Result<Self, serde_json::Error> {
        Ok(Self { outcome: serde_json::from_str(raw.get())?, raw })
    }
}

/// What a request would append, and what follows.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RequestOutcome {
    pub(crate) log_id: String,
    /// The last event that it was decided against.
    pub(crate) base: PlanBase,
    pub(crate) events: Vec<OutcomeEvent>,
    #[serde(default)]
    pub(crate) results: Vec<OutcomeResult>,
    #[serde(default)]
    pub(crate) warnings: Vec<CommandWarning>,
    /// The plan's digest; none if the request can't be planned.
    pub(crate) plan: Option<String>,
    #[serde(default)]
    pub(crate) nodes: Vec<OutcomeNode>,
    /// How many nodes change that are not named.
    #[serde(default)]
    pub(crate) more: u64,
    #[serde(default)]
    pub(crate) jobs: Vec<OutcomeJob>,
    /// The rollouts that the request starts; an older server does not say.
    #[serde(default)]
    pub(crate) rollouts: Vec<OutcomeRollout>,
    /// What the request makes that is not there before it; an older server does not say.
    pub(crate) creates: Option<Vec<String>>,
    /// What the request removes because it leaves a bundle.
    #[serde(default)]
    pub(crate) prunes: Vec<String>,
    /// What the request takes from one bundle into another.
    #[serde(default)]
    pub(crate) moves: Vec<OutcomeMove>,
    /// Whether the caller may send it.
    #[serde(default = "permitted")]
    pub(crate) permitted: bool,
}

fn permitted() -> bool {
    true
}

/// An entity that comes from one bundle into another.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct OutcomeMove {
    pub(crate) entity: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

/// A rollout that the request starts, as it would go from now on.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct OutcomeRollout {
    pub(crate) rollout: String,
    pub(crate) members: u64,
    pub(crate) stages: Vec<OutcomeStage>,
    /// Seconds for which its stages bake together.
    pub(crate) bake_s: u64,
    /// What changes on each node once it is released.
    #[serde(default)]
    pub(crate) nodes: Vec<OutcomeNode>,
    #[serde(default)]
    pub(crate) more: u64,
    #[serde(default)]
    pub(crate) moot: NamedNodes,
    #[serde(default)]
    pub(crate) offline: NamedNodes,
    #[serde(default)]
    pub(crate) unwell: NamedNodes,
    #[serde(default)]
    pub(crate) busy: NamedNodes,
    #[serde(default)]
    pub(crate) other_rollout: NamedNodes,
    #[serde(default)]
    pub(crate) rejected: NamedNodes,
}

/// A stage of a rollout as it would go.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct OutcomeStage {
    pub(crate) name: String,
    pub(crate) members: u32,
    pub(crate) quota: u32,
    pub(crate) first: NamedNodes,
}

/// An event that the request would append.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct OutcomeEvent {
    #[serde(rename = "type")]
    pub(crate) event_type: String,
    pub(crate) entity: String,
    pub(crate) version: u64,
}

/// What one command would come to.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct OutcomeResult {
    pub(crate) entity: String,
    pub(crate) changed: bool,
    /// The bundle that the entity belongs to, which the request does not assign.
    #[serde(default)]
    pub(crate) owned_by: Option<String>,
}

/// What becomes of one node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct OutcomeNode {
    pub(crate) node: String,
    #[serde(default)]
    pub(crate) files: Vec<OutcomeFile>,
    #[serde(default)]
    pub(crate) retired: bool,
    #[serde(default)]
    pub(crate) may_retry: bool,
}

/// What becomes of one file of a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) struct OutcomeFile {
    pub(crate) path: String,
    pub(crate) before: Option<OutcomeFileState>,
    pub(crate) after: Option<OutcomeFileState>,
    /// The document in force after the request.
    #[serde(default)]
    pub(crate) document: Option<String>,
}

/// The bytes and the mode of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) struct OutcomeFileState {
    pub(crate) digest: String,
    #[serde(default)]
    pub(crate) mode: String,
}

/// What becomes of the spec of one job.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct OutcomeJob {
    pub(crate) job: String,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
}

impl RequestOutcome {
    /// Whether the request would append anything.
    pub(crate) fn changes(&self) -> bool {
        !self.events.is_empty()
    }

    /// Whether nothing changes on any node, nor in a job.
    pub(crate) fn is_quiet(&self) -> bool {
        self.nodes.is_empty() && self.more == 0 && self.jobs.is_empty() && self.rollouts.is_empty()
    }

    /// The types of the events of each entity, in the order in which the entities are first mentioned.
    pub(crate) fn entities(&self) -> Vec<(&str, Vec<&OutcomeEvent>)> {
        let mut places = BTreeMap::new();
        let mut entities: Vec<(&str, Vec<&OutcomeEvent>)> = Vec::new();
        for event in &self.events {
            let place = *places.entry(event.entity.as_str()).or_insert_with(|| {
                entities.push((event.entity.as_str(), Vec::new()));
                entities.len() - 1
            });
            entities[place].1.push(event);
        }
        entities
    }
}
