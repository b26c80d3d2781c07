//! The plan of a request: what it changes, as people are shown it before it is sent, and the digest over that.
//!
//! The digest is SHA-256 over the MessagePack array `[1, events, nodes, jobs, []]`, or `[2, events, nodes, jobs, rollouts]` where the request
//! starts rollouts. Each struct here is an array of its fields in their order: integers in their shortest form, digests as `bin`, everything
//! else as text. The bytes never change; a plan of another shape begins with another number.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::document_mode::DocumentMode;
use crate::entity::Entity;
use crate::id::{JobId, NodeId, RolloutId};
use crate::path::DocumentPath;
use crate::position::Version;

/// The first number of a plan that starts no rollout.
const FORMAT: u8 = 1;
/// The first number of a plan that starts rollouts.
const ROLLOUTS_FORMAT: u8 = 2;

/// What a request changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct RequestPlan {
    /// Its events, without the one about the plan itself.
    pub events: Vec<PlannedEvent>,
    /// The nodes of which files change, or that are retired, or that may try again; in order.
    pub nodes: Vec<PlannedNode>,
    /// The jobs whose specs change, in order.
    pub jobs: Vec<PlannedJob>,
    /// The rollouts that it starts, in order.
    #[serde(default)]
    pub rollouts: Vec<PlannedRollout>,
}

/// An event of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedEvent {
    /// The type by its name.
    pub event_type: String,
    /// The entity that the event is about.
    pub entity: Entity,
    /// The version of the entity with the event.
    pub version: Version,
    /// SHA-256 of the data.
    pub data: Digest,
}

/// What changes on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedNode {
    /// The node.
    pub node: NodeId,
    /// The files below `files/` that change, in the order of their paths.
    pub files: Vec<PlannedFile>,
    /// Whether the request retires the node.
    pub retired: bool,
    /// Whether the request lets the node try again.
    pub may_retry: bool,
}

/// A file that changes on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedFile {
    /// The path below `files/`.
    pub path: DocumentPath,
    /// The file before; none if there was none.
    pub before: Option<FileState>,
    /// The file after; none if there is none.
    pub after: Option<FileState>,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct FileState {
    /// SHA-256 of its content.
    pub digest: Digest,
    /// Its mode.
    pub mode: DocumentMode,
}

/// A job whose spec changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedJob {
    /// The job.
    pub job: JobId,
    /// The digest of its spec before; none if there was no job.
    pub before: Option<Digest>,
    /// The digest of its spec after; none if there is no job.
    pub after: Option<Digest>,
}

/// A rollout that the request starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedRollout {
    /// The rollout.
    pub rollout: RolloutId,
    /// The nodes of which files change once they are released, in order: each as if it were released at once.
    pub nodes: Vec<PlannedNode>,
}

impl PlannedNode {
    /// Whether anything changes on the node.
    #[must_use]
    pub fn is_change(&self) -> bool {
        !self.files.is_empty() || self.retired || self.may_retry
    }
}

impl RequestPlan {
    /// The bytes that the digest is over.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let format = if self.rollouts.is_empty() { FORMAT } else { ROLLOUTS_FORMAT };
        let parts = (format, &self.events, &self.nodes, &self.jobs, &self.rollouts);
        rmp_serde::to_vec(&parts).expect("BUG: a plan has no failing serializer")
    }

    /// The digest of the plan.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes())
    }
}
