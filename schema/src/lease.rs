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

    /// The token's bytes.
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

/// A claim as of its event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobClaimed {
    /// By whom.
    pub runtime: NodeId,
    /// Its proof.
    pub token: LeaseToken,
    /// Seconds of silence after which it ends.
    pub lease_s: u32,
    /// Names the spec's bytes as they were claimed.
    pub spec_digest: Digest,
}

/// The end of a claim that its holder gave up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobReleased {
    /// Whose it was.
    pub runtime: NodeId,
    /// Which claim.
    pub token: LeaseToken,
}

/// The end of a claim whose holder was silent for too long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimExpired {
    /// Whose it was.
    pub runtime: NodeId,
    /// Which claim.
    pub token: LeaseToken,
}

/// One run of a job as of its event. The claim goes on: the holder runs the job whenever it is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobCompleted {
    /// Who ran it.
    pub runtime: NodeId,
    /// Under which claim.
    pub token: LeaseToken,
    /// Which spec it was.
    pub spec_digest: Digest,
    /// What came out.
    pub outcome: String,
    /// What shows it.
    pub evidence: String,
}

/// A claimed job as it is sent to its holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct LeasedJob {
    /// Which job.
    pub id: JobId,
    /// The proof that it is the holder's.
    pub token: LeaseToken,
    /// Names the spec's bytes as they are now.
    pub spec_digest: Digest,
    /// Seconds of silence after which the claim ends.
    pub lease_s: u32,
    /// The spec itself, where it was asked for. Its canonical bytes (members sorted, no spaces) are those of the digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Value>,
}
