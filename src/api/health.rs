//! The answers of `GET /healthz` and `GET /readyz`.

use alloc::string::String;
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// That the process answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Liveness {
    /// Always `ok`.
    pub status: String,
}

/// Whether the server can do its work. If it can't, the answer is a problem document that has these members, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Readiness {
    /// Whether it can.
    pub ready: bool,
    /// The parts that keep it from its work; none if it is ready.
    pub reasons: Vec<HealthCondition>,
    /// What an operator should know although the server is ready; missing if there is nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<HealthCondition>,
}

/// A part of the server that is not as it should be, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealthCondition {
    /// The part: `postgres`, `nats`, `log`, and so on.
    pub part: String,
    /// Why, in one sentence.
    pub reason: String,
}
