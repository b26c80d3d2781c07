//! Jobs: their specs, their claims, and the causes of both.

use alloc::string::String;
use alloc::vec::Vec;

use schema::desired::Source;
use schema::digest::Digest;
use schema::id::{AttestationId, JobId, NodeId};
use schema::instant::Instant;
use schema::position::Position;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::event::CausingEvent;

/// A job as a list shows it. The token of its claim is only for the runtime that holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobSummary {
    /// The job's id, which follows from its attestation's.
    pub id: JobId,
    /// The attestation that the job follows from.
    pub attestation: AttestationId,
    /// Names the bytes of its spec.
    pub spec_digest: Digest,
    /// Who holds the job; null while no runtime does.
    pub claim: Option<ClaimView>,
    /// The event since which no runtime holds the job; null while one does.
    pub waiting_since: Option<Position>,
    /// The result of its last run; null before the first.
    pub completed: Option<CompletedView>,
}

/// A job with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobDetail {
    /// The job as a list shows it.
    #[serde(flatten)]
    pub summary: JobSummary,
    /// The spec, as its holder gets it.
    pub spec: Map<String, Value>,
    /// The event that changed the spec last.
    pub cause: Option<CausingEvent>,
    /// The entities that the spec is rendered from.
    pub sources: Vec<Source>,
}

/// A claim on a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimView {
    /// The runtime that holds the job.
    pub runtime: NodeId,
    /// The event that gave it the job.
    pub position: Position,
    /// Seconds of silence after which the claim ends.
    pub lease_s: u32,
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CompletedView {
    /// The runtime that ran the job.
    pub runtime: NodeId,
    /// What came out, in the runtime's words.
    pub outcome: String,
    /// Names the spec that was run.
    pub spec_digest: Digest,
    /// The event that has the result.
    pub position: Position,
    /// When that event was appended.
    pub at: Instant,
}
