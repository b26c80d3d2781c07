//! Controls, components, assessments and attestations, and what covers each control.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use schema::id::{AssessmentId, BundleId, ComponentId, ControlId, Id, JobId, NodeId};
use schema::instant::Instant;
use schema::position::{Position, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::page::ListPage;

/// A definition, as the last event about it has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}View")]
pub struct DefinitionView<T> {
    /// The id of what is defined.
    pub id: Id,
    /// The definition.
    #[serde(flatten)]
    pub defined: T,
    /// The job that follows from an attestation; missing for the other kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// The bundle that it belongs to; null if it belongs to none. Older servers do not say.
    #[serde(default)]
    pub bundle: Option<BundleId>,
    /// How often it was defined or removed.
    pub version: Version,
    /// The event that defined it.
    pub position: Position,
    /// When that was.
    pub at: Instant,
}

/// A page of controls, and figures of all controls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "CoverageReport")]
pub struct CoverageReport<T> {
    /// The controls of the page.
    #[serde(flatten)]
    pub page: ListPage<T>,
    /// Figures of all controls, on whichever page they are.
    pub counts: CoverageCounts,
    /// All controls without a claim on any of their jobs, on whichever page they are.
    pub uncovered: Vec<ControlId>,
}

/// Numbers of controls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CoverageCounts {
    /// All of them.
    pub controls: usize,
    /// Those with a component that implements them or is assessed for them.
    pub with_components: usize,
    /// Those with an assessment.
    pub with_assessments: usize,
    /// Those with a job that a runtime has claimed.
    pub with_claims: usize,
}

/// What covers one control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ControlCoverage {
    /// The control.
    pub control: ControlId,
    /// Its title.
    pub title: String,
    /// The components that implement it, and those that are assessed for it.
    pub components: BTreeSet<ComponentId>,
    /// The assessments of it.
    pub assessments: Vec<AssessmentId>,
    /// How many jobs follow from it.
    pub jobs: usize,
    /// The claims on those jobs.
    pub claims: Vec<CoveringClaim>,
    /// Whether there is any claim.
    pub covered: bool,
}

/// A claim on a job of a control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CoveringClaim {
    /// The job.
    pub job: JobId,
    /// The runtime that holds it.
    pub runtime: NodeId,
}
