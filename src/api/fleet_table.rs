//! The answer of `GET /v1/fleet/table`: the whole fleet as columns, and what changes in it.
//!
//! Columns, because a list of ten thousand nodes is then an eighth of what rows of `GET /v1/nodes` are, and a browser filters and counts it
//! by itself. The index of a row is its place in `ids`.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use schema::convergence::ConvergenceState;
use schema::id::NodeId;
use schema::instant::Instant;
use schema::labels::Labels;
use schema::position::Position;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::node::StatusReason;

/// Bytes of a reason's detail in a table.
pub const TABLE_DETAIL_BYTES_MAX: usize = 160;

/// The whole fleet as columns. Each list has one entry for each node, in the order of `ids`, unless it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FleetTable {
    /// The log's last event that the table takes into account.
    pub position: Position,
    /// Whether it is a past state: then only the log counts, and not what nodes report now.
    pub past: bool,
    /// When the event at `position` was appended; null for the empty log.
    pub at: Option<Instant>,
    /// The names of all states, always in the same order; `states` counts from 0 in it.
    pub state_names: Vec<String>,
    /// All sets of labels that nodes have; `labels` counts from 0 in it.
    pub label_sets: Vec<Labels>,
    /// The ids of all nodes that were ever enrolled, sorted by their bytes.
    pub ids: Vec<NodeId>,
    /// The rows of the nodes that are retired.
    pub retired: Vec<u32>,
    /// The state of each node, as an index of `state_names`.
    pub states: Vec<u32>,
    /// The labels of each node, as an index of `label_sets`.
    pub labels: Vec<u32>,
    /// The position of the record that each node must run.
    pub desired: Vec<Position>,
    /// The position of the record that each node runs, as it reports it; 0 if it runs none or was never heard.
    pub running: Vec<Position>,
    /// By row, since when nothing was heard of a node that is offline.
    #[schemars(with = "BTreeMap<String, Instant>")]
    pub silent_since: BTreeMap<u32, Instant>,
    /// By row, why a node does not run what is desired. The detail has at most 160 bytes, on one line. A node that is offline or
    /// unknown has none: `silent_since` and the state say it.
    #[schemars(with = "BTreeMap<String, StatusReason>")]
    pub reasons: BTreeMap<u32, StatusReason>,
    /// How many of the nodes that are not retired are in each state; every state is there, also with 0.
    pub counts: BTreeMap<String, usize>,
}

/// What changed in the fleet since the table, or the change, before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FleetChange {
    /// The log's last event that the change takes into account.
    pub position: Position,
    /// How many of the nodes that are not retired are in each state now.
    pub counts: BTreeMap<String, usize>,
    /// The nodes that are new or differ, whole, sorted by id; none if only the log went on.
    pub rows: Vec<FleetRow>,
    /// The nodes that are not there any more, sorted.
    pub gone: Vec<NodeId>,
}

/// A node as the table shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FleetRow {
    /// The node's id.
    pub id: NodeId,
    /// Whether it takes part no more.
    pub retired: bool,
    /// Its state.
    pub state: ConvergenceState,
    /// Its labels.
    pub labels: Labels,
    /// The position of the record that it must run.
    pub desired: Position,
    /// The position of the record that it runs; 0 if it runs none or was never heard.
    pub running: Position,
    /// Since when nothing was heard of it, if it is offline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_since: Option<Instant>,
    /// Why it does not run what is desired, as in the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<StatusReason>,
}
