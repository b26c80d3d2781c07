//! Bundles and marks.

use alloc::vec::Vec;

use schema::entity::Entity;
use schema::id::{BundleId, MarkId};
use schema::instant::Instant;
use schema::position::{Position, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A bundle as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BundleSummary {
    /// The bundle's id.
    pub id: BundleId,
    /// How many documents belong to it.
    pub documents: usize,
    /// How many nodes belong to it.
    pub nodes: usize,
    /// How many controls, components, assessments and attestations belong to it.
    pub definitions: usize,
    /// How often it was assigned or removed.
    pub version: Version,
    /// Its last event.
    pub position: Position,
    /// When that was.
    pub at: Instant,
}

/// A bundle with all that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BundleDetail {
    /// The bundle.
    #[serde(flatten)]
    pub summary: BundleSummary,
    /// What belongs to it.
    pub members: Vec<Entity>,
}

/// A name for a position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MarkView {
    /// The mark's id. Where a past state is asked for, `mark:<id>` stands for the position.
    pub id: MarkId,
    /// The position that it names.
    pub at_position: Position,
    /// How often it was set.
    pub version: Version,
    /// Its last event.
    pub position: Position,
    /// When that was.
    pub at: Instant,
}
