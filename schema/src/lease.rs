//! Leases: the claims on jobs, the tokens that prove them, and how claims end.

use alloc::string::String;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::id::{CommandId, JobId, NodeId};

/// The proof of one claim. Completing a job requires the token of its current claim.
///
/// It is made from the request that claims and from bytes that were drawn at random for that request, and written into
/// the event, so that replay needs no randomness and nobody who knows only ids can make one up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseToken(Digest);

/// Random bytes that come in with a request.
pub type Entropy = [u8; 16];

impl LeaseToken {
    /// The token of the claim on a job by a request: the same for the same entropy, request and job.
    #[must_use]
    pub fn derived(entropy: &Entropy, command: CommandId, ordinal: u32, job: &JobId) -> Self {
        Self(Digest::of_parts([
            b"headwater/lease".as_slice(),
            entropy,
            command.uuid().as_bytes(),
            &ordinal.to_be_bytes(),
            job.as_str().as_bytes(),
        ]))
    }

    /// The token as the digest that it is: 32 bytes.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.0
    }
}

impl From<Digest> for LeaseToken {
    fn from(digest: Digest) -> Self {
        Self(digest)
    }
}

impl core::fmt::Display for LeaseToken {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(&self.0, f)
    }
}

/// The data of event `JobClaimed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobClaimed {
    /// The node that holds the job from now on.
    pub runtime: NodeId,
    /// The lease token that the node shows when it completes the job.
    pub token: LeaseToken,
    /// The lease in seconds: after so long a silence the claim ends.
    pub lease_s: u32,
    /// SHA-256 of the spec at the time of the claim.
    pub spec_digest: Digest,
}

/// The end of a claim that its holder gave up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobReleased {
    /// The node that held the job.
    pub runtime: NodeId,
    /// The lease token of the claim that ended.
    pub token: LeaseToken,
}

/// The end of a claim whose holder was silent for too long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimExpired {
    /// The node that held the job.
    pub runtime: NodeId,
    /// The lease token of the claim that ended.
    pub token: LeaseToken,
}

/// One run of a job as of its event. The claim goes on: the holder runs the job whenever it is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobCompleted {
    /// The node that ran the job.
    pub runtime: NodeId,
    /// The lease token of the claim that the node held.
    pub token: LeaseToken,
    /// SHA-256 of the spec that was run.
    pub spec_digest: Digest,
    /// The outcome in a word, such as `passed`: at most 255 bytes.
    pub outcome: String,
    /// What the run printed or found: at most 64 KiB.
    pub evidence: String,
}

/// A claimed job as it is sent to its holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct LeasedJob {
    /// The id of the job.
    pub id: JobId,
    /// The lease token, to be sent with each outcome.
    pub token: LeaseToken,
    /// SHA-256 of the spec as it is now.
    pub spec_digest: Digest,
    /// The lease in seconds: after so long a silence the claim ends.
    pub lease_s: u32,
    /// The spec itself, where it was asked for. Its canonical bytes (members sorted, no spaces) are those of the digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Value>,
}
