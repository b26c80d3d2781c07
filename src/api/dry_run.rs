//! What a request would do: the answer to a dry run.

use alloc::vec::Vec;

use schema::answer::Answer;
use schema::bundle::PlanBase;
use schema::digest::Digest;
use schema::entity::Entity;
use schema::id::BundleId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::impact::{JobChange, NodeChange, PlannedNodeView};
use crate::rollout_preview::RolloutPreview;

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
