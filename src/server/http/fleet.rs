//! `GET /v1/fleet`: how many nodes are in which state. Retired nodes are counted apart: nothing is desired of them.

use std::collections::BTreeMap;

use api::fleet::FleetCounts;
use program::tasks::run_blocking;
use schema::convergence::ConvergenceState;

use crate::http::answer::JsonAnswer;
use crate::http::context::AppState;
use crate::http::operation::Asked;
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::{ReadSnapshot, SnapshotQuery};

/// `GET /v1/fleet`
pub(super) async fn show(asked: Asked<SnapshotQuery>) -> Result<JsonAnswer<FleetCounts>, ProblemResponse> {
    let Asked { app, params: query, .. } = asked;
    let snapshot = app.snapshot_for_nodes(query).await?;
    let counts = run_blocking(move || count(&app, &snapshot)).await;
    Ok(JsonAnswer::new(counts.position, counts))
}

/// Counts the nodes of a snapshot.
pub(super) fn count(app: &AppState, snapshot: &ReadSnapshot) -> FleetCounts {
    let state = &snapshot.configuration;
    let mut states: BTreeMap<&str, usize> = ConvergenceState::ALL.into_iter().map(|state| (state.name(), 0)).collect();
    let (mut nodes, mut retired) = (0, 0);
    for (id, node) in state.nodes() {
        if node.retired {
            retired += 1;
            continue;
        }
        nodes += 1;
        *states.entry(app.node_state(snapshot, id, node).name()).or_default() += 1;
    }
    let states = states.into_iter().map(|(state, count)| (state.to_owned(), count)).collect();
    FleetCounts { position: state.position(), at: state.at(), nodes, retired, states, guard: state.rollouts().guard() }
}
