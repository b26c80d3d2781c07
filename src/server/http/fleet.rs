//! `GET /v1/fleet`: how many nodes are in which state. Retired nodes are counted apart: nothing is desired of them.

use std::collections::BTreeMap;

use axum::response::Response;
use program::tasks::run_blocking;
use projections::convergence::ConvergenceState as NodeState;
use schema::instant::Instant;
use schema::position::Position;
use serde::Serialize;

use crate::http::answer;
use crate::http::auth::AuthenticatedState;
use crate::http::context::AppState;
use crate::http::params::QueryParams;
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::{ReadSnapshot, SnapshotQuery};

/// Numbers of nodes.
#[derive(Serialize)]
pub(super) struct FleetCounts {
    position: Position,
    at: Instant,
    nodes: usize,
    retired: usize,
    pub(super) states: BTreeMap<&'static str, usize>,
}

/// `GET /v1/fleet`
pub(super) async fn show(app: AuthenticatedState, mut params: QueryParams) -> Result<Response, ProblemResponse> {
    let query = SnapshotQuery::from_params(&mut params)?;
    params.done()?;
    let snapshot = app.snapshot_for_nodes(query).await?;
    let counts = run_blocking(move || count(&app, &snapshot)).await;
    Ok(answer::json(counts.position, counts))
}

/// Counts the nodes of a snapshot.
pub(super) fn count(app: &AppState, snapshot: &ReadSnapshot) -> FleetCounts {
    let state = &snapshot.configuration;
    let mut states: BTreeMap<_, _> = NodeState::ALL.into_iter().map(|state| (state.name(), 0)).collect();
    let (mut nodes, mut retired) = (0, 0);
    for (id, node) in state.nodes() {
        if node.retired {
            retired += 1;
            continue;
        }
        nodes += 1;
        *states.entry(app.node_state(snapshot, id, node).name()).or_default() += 1;
    }
    FleetCounts { position: state.position(), at: state.at(), nodes, retired, states }
}
