//! The answer of `GET /v1/fleet`.

use alloc::collections::BTreeMap;
use alloc::string::String;

use schema::instant::Instant;
use schema::position::Position;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many nodes are in which state. Retired nodes are counted apart: nothing is desired of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FleetCounts {
    /// The log's last event that the numbers take into account.
    pub position: Position,
    /// When that event was appended.
    pub at: Instant,
    /// How many nodes are enrolled and not retired.
    pub nodes: usize,
    /// How many nodes are retired.
    pub retired: usize,
    /// How many of the enrolled nodes are in each state; every state is there, also with 0.
    pub states: BTreeMap<String, usize>,
    /// The guard: of how many nodes a request may change files without saying `now`; null where there is no limit.
    #[serde(default)]
    pub guard: Option<u32>,
}
