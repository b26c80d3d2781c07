//! What a runtime asks of the centre, and what it may hear.

use std::future::Future;

use schema::digest::Digest;
use schema::id::JobId;
use schema::lease::{LeaseToken, LeasedJob};
use schema::position::Position;
use schema::rpc::RpcError;
use serde::{Deserialize, Serialize};

/// Who answers for the log.
pub trait ClaimService: Send + Sync + 'static {
    /// At most `limit` more jobs: exactly those that were given.
    fn claim(&self, limit: u32, lease_s: u32) -> impl Future<Output = Result<LeasedJobs, ClaimError>> + Send;

    /// A new lease for all that is held, and what that is.
    fn renew(&self) -> impl Future<Output = Result<LeasedJobs, ClaimError>> + Send;

    /// Gives jobs up. One that is not held any more is no fault.
    fn release(&self, jobs: &[JobId]) -> impl Future<Output = Result<(), ClaimError>> + Send;

    /// Says what a run came to. The same again, by its id, is the same one.
    fn complete(&self, completion: &Completion) -> impl Future<Output = Result<(), ClaimError>> + Send;

    /// All that is held. It renews nothing.
    fn mine(&self) -> impl Future<Output = Result<LeasedJobs, ClaimError>> + Send;
}

/// What is held, or was given, as of a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasedJobs {
    /// As of when. An answer from before another says nothing of what came between.
    pub position: Position,
    /// The jobs.
    pub jobs: Vec<LeasedJob>,
}

/// What one run came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// Names it, however often it is told.
    pub id: String,
    /// Which job.
    pub job: JobId,
    /// Under which claim.
    pub token: LeaseToken,
    /// Which spec it was.
    pub spec_digest: Digest,
    /// `passed`, `failed` or `timed_out`.
    pub outcome: String,
    /// What the command printed.
    pub evidence: String,
}

/// Why something was not done, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// The centre says no.
    #[error("refused, {}: {}", .0.code, .0.detail)]
    Refused(RpcError),
    /// Nobody answered, or not so that it can be understood; it may have been done.
    #[error("no answer: {0}")]
    Unknown(String),
}

impl ClaimError {
    /// Whether asking the same again may come to something else.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused(fault) => fault.is_transient(),
            Self::Unknown(_) => true,
        }
    }

    /// Whether the job is still held, but its spec is another by now.
    #[must_use]
    pub fn is_for_another_spec(&self) -> bool {
        matches!(self, Self::Refused(fault) if fault.code == "spec_changed")
    }
}
