//! Contents by their digests: what a sender need not send again.

use alloc::vec::Vec;

use schema::digest::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Digests in one question.
pub const DIGESTS_MAX: usize = 10_000;

/// Contents that the log may hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AskedContents {
    /// Their digests: at most 10,000.
    #[schemars(length(max = DIGESTS_MAX))]
    pub digests: Vec<Digest>,
}

/// Those of the contents that the log does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MissingContents {
    /// Their digests, in the order of the question.
    pub missing: Vec<Digest>,
}
