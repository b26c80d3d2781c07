//! Reads the fleet, node by node, for its table.

use api::fleet_table::TABLE_DETAIL_BYTES_MAX;
use api::node::{NodeStatus, StatusReason};
use program::clock::system_time;
use projections::configuration::Node;
use schema::convergence::ConvergenceState;
use schema::id::NodeId;
use schema::instant::Instant;
use schema::report::{RecordRef, truncate_text};

use crate::http::context::AppState;
use crate::http::fleet_rows::{FleetRows, NodeRow};
use crate::http::snapshot::ReadSnapshot;

impl AppState {
    /// Every node of a snapshot. It takes some microseconds for each: call it on a blocking thread.
    pub(super) fn scan_fleet(&self, snapshot: &ReadSnapshot) -> FleetRows {
        let (state, now) = (&snapshot.configuration, system_time());
        let rows = state.nodes().iter().map(|(id, node)| self.node_row(snapshot, id, node, now)).collect();
        FleetRows { position: state.position(), at: state.at(), is_past: snapshot.is_past, rows }
    }

    fn node_row(&self, snapshot: &ReadSnapshot, id: &NodeId, node: &Node, now: Instant) -> NodeRow {
        let NodeStatus { state, running, silence_ms, reason } = self.node_status(snapshot, id, node);
        // `silent_since` stands for the reason of a silent node, which counts the seconds and would be another one each time; and the state
        // itself for that of a node that was never heard.
        let is_offline = state == ConvergenceState::Offline;
        let is_plain = is_offline || state == ConvergenceState::Unknown;
        NodeRow {
            id: id.clone(),
            retired: node.retired,
            state,
            labels: node.labels.clone(),
            desired: node.cause.position,
            running: running.map(|running: RecordRef| running.position).unwrap_or_default(),
            silent_since: silence_ms.filter(|_| is_offline).map(|silence| before(now, silence)),
            reason: reason.filter(|_| !is_plain).map(short),
        }
    }
}

fn before(now: Instant, milliseconds: u64) -> Instant {
    let micros = i64::try_from(milliseconds.saturating_mul(1_000)).unwrap_or(i64::MAX);
    Instant::from_unix_micros(now.unix_micros().saturating_sub(micros))
}

/// The beginning of a reason, on one line. Control characters become spaces, so that JSON needs at most two bytes for each byte.
fn short(reason: StatusReason) -> StatusReason {
    let line = |text: &str| text.replace(|c: char| c.is_control(), " ");
    StatusReason {
        code: truncate_text(&line(&reason.code), TABLE_DETAIL_BYTES_MAX),
        detail: truncate_text(&line(&reason.detail), TABLE_DETAIL_BYTES_MAX),
    }
}
