//! The plan of a request: what it changes, as people are shown it before it is sent, and the digest over that.
//!
//! The digest is SHA-256 over the MessagePack array `[1, events, nodes, jobs, rollouts]`. Each struct here is an array of its fields in their
//! order: integers in their shortest form, digests as `bin`, everything else as text. The bytes never change; a plan of another shape begins
//! with another number.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::document_mode::DocumentMode;
use crate::entity::Entity;
use crate::id::{JobId, NodeId};
use crate::path::DocumentPath;
use crate::position::Version;

/// The first number of every plan.
const FORMAT: u8 = 1;

/// What a request changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct RequestPlan {
    /// Its events, without the one about the plan itself.
    pub events: Vec<PlannedEvent>,
    /// The nodes of which files change, or that are retired, or that may try again; in order.
    pub nodes: Vec<PlannedNode>,
    /// The jobs whose specs change, in order.
    pub jobs: Vec<PlannedJob>,
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
        let no_rollouts: [(); 0] = [];
        let parts = (FORMAT, &self.events, &self.nodes, &self.jobs, no_rollouts);
        rmp_serde::to_vec(&parts).expect("BUG: a plan has no failing serializer")
    }

    /// The digest of the plan.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes())
    }
}
