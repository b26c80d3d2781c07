//! Nodes: what is desired of each, what each reports, and the state that follows from both.

use alloc::string::String;
use alloc::vec::Vec;

use schema::convergence::ConvergenceState;
use schema::desired::{Cause, Entry};
use schema::id::{BundleId, NodeId};
use schema::instant::Instant;
use schema::labels::Labels;
use schema::node_keys::NodeKeys;
use schema::position::{Position, Version};
use schema::report::{RecordRef, ReportSummary, Reported};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a node may come into NATS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeAccessView {
    /// By its own keys.
    Keys,
    /// It has no keys: by a password that nodes share, if there is one.
    Password,
    /// Not at all: it was barred.
    Barred,
    /// Not at all: it was retired, and has left.
    Dismissed,
}

/// A node as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeSummary {
    /// The node's id.
    pub id: NodeId,
    /// Its labels, by which targets select it.
    pub labels: Labels,
    /// Whether it takes part no more.
    pub retired: bool,
    /// How it may come into NATS.
    pub access: NodeAccessView,
    /// The bundle that it belongs to; null if it belongs to none. Older servers do not say.
    #[serde(default)]
    pub bundle: Option<BundleId>,
    /// How often the node was changed by a command.
    pub version: Version,
    /// Its state, and why.
    #[serde(flatten)]
    pub status: NodeStatus,
    /// The record that it must run.
    pub desired: RecordRef,
}

/// A node with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeDetail {
    /// The node's id.
    pub id: NodeId,
    /// Its labels, by which targets select it.
    pub labels: Labels,
    /// Whether it takes part no more.
    pub retired: bool,
    /// How it may come into NATS.
    pub access: NodeAccessView,
    /// Its public keys; null if it has none.
    pub keys: Option<NodeKeys>,
    /// The bundle that it belongs to; null if it belongs to none. Older servers do not say.
    #[serde(default)]
    pub bundle: Option<BundleId>,
    /// How often the node was changed by a command.
    pub version: Version,
    /// Its state, and why.
    #[serde(flatten)]
    pub status: NodeStatus,
    /// The record that it must run, with its files.
    pub desired: DesiredView,
    /// The last report that was heard; null in a past state.
    pub reported: Option<ReportView>,
    /// What the log has of the node's reports; null if there is nothing.
    pub noted: Option<NotedView>,
}

/// A desired record without the contents of its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DesiredView {
    /// The record's position and digest.
    #[serde(flatten)]
    pub record_ref: RecordRef,
    /// The position of the last `retry_node`, or 0.
    pub retry: Position,
    /// The event that the record follows from.
    pub cause: Cause,
    /// Its files, sorted by path.
    pub entries: Vec<Entry>,
}

/// A report, and how long ago it was heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportView {
    /// The report as the node wrote it.
    #[serde(flatten)]
    pub report: Reported,
    /// Milliseconds since the server heard it.
    pub silence_ms: u64,
}

/// What the log has of a node's reports, and since which event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotedView {
    /// The event that noted it.
    pub position: Position,
    /// When that event was appended.
    pub at: Instant,
    /// How often the log noted a change in what the node reports.
    pub version: Version,
    /// What the node reported.
    #[serde(flatten)]
    pub summary: ReportSummary,
}

/// The state of a node, and why it is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeStatus {
    /// The state, judged against the log at the answer's position.
    pub state: ConvergenceState,
    /// The record that the node runs, as it reports it.
    pub running: Option<RecordRef>,
    /// Milliseconds since the last report was heard; null in a past state, or if there never was a report.
    pub silence_ms: Option<u64>,
    /// Why the node does not run what is desired; null if it does, or is about to.
    pub reason: Option<StatusReason>,
}

/// Why a node does not run what is desired: in the node's own words if it tried and failed, else in the server's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusReason {
    /// A stable code.
    pub code: String,
    /// One sentence for a person.
    pub detail: String,
}
