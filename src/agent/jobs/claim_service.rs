//! The requests of a runtime to the server, as a trait: tests implement it without NATS.

use std::future::Future;

use schema::digest::Digest;
use schema::id::JobId;
use schema::lease::{LeaseToken, LeasedJob};
use schema::position::Position;
use schema::rpc::RpcError;
use serde::{Deserialize, Serialize};

/// The server's answers about claims.
pub trait ClaimService: Send + Sync + 'static {
    /// Claims at most `limit` more jobs, and gives exactly those that were claimed.
    fn claim(&self, limit: u32, lease_s: u32) -> impl Future<Output = Result<LeasedJobs, ClaimError>> + Send;

    /// Renews the lease of every claimed job, and lists them.
    fn renew(&self) -> impl Future<Output = Result<LeasedJobs, ClaimError>> + Send;

    /// Releases jobs. One that is not claimed any more is no error.
    fn release(&self, jobs: &[JobId]) -> impl Future<Output = Result<(), ClaimError>> + Send;

    /// Reports the outcome of a run. Idempotent by its id.
    fn complete(&self, completion: &JobCompletion) -> impl Future<Output = Result<(), ClaimError>> + Send;

    /// Lists the claimed jobs, and renews nothing.
    fn list(&self) -> impl Future<Output = Result<LeasedJobs, ClaimError>> + Send;
}

/// Claimed jobs as of a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasedJobs {
    /// An answer of a lower position than one before is out of date.
    pub position: Position,
    /// All claimed jobs, or those that were just claimed.
    pub jobs: Vec<LeasedJob>,
}

/// The outcome of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobCompletion {
    /// The same for every attempt to send it.
    pub id: String,
    /// The job that ran.
    pub job: JobId,
    /// The claim under which it ran.
    pub token: LeaseToken,
    /// Of the spec that ran.
    pub spec_digest: Digest,
    /// `passed`, `failed` or `timed_out`.
    pub outcome: String,
    /// The output of the command.
    pub evidence: String,
}

/// Why a request was not done, as far as the runtime knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// The server refused it.
    #[error("refused, {}: {}", .0.code, .0.detail)]
    Refused(RpcError),
    /// There was no answer, or an unreadable one: the request may have been done.
    #[error("no answer: {0}")]
    Unknown(String),
}

impl ClaimError {
    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused(fault) => fault.is_transient(),
            Self::Unknown(_) => true,
        }
    }

    /// Whether the claim still holds, but the job has a newer spec.
    #[must_use]
    pub fn is_for_another_spec(&self) -> bool {
        matches!(self, Self::Refused(fault) if fault.code == "spec_changed")
    }
}
