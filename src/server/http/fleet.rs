//! `GET /v1/fleet`: how many nodes are in which state. Retired nodes are counted apart: they have nothing to do.

use std::collections::BTreeMap;

use axum::response::Response;
use projections::convergence::State as NodeState;
use schema::instant::Instant;
use schema::position::Position;
use serde::Serialize;

use crate::http::answer;
use crate::http::auth::Admitted;
use crate::http::blocking::apart;
use crate::http::context::Door;
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::http::snapshot::{Snapshot, When};

/// The counts.
#[derive(Serialize)]
pub(super) struct Counts {
    position: Position,
    at: Instant,
    nodes: usize,
    retired: usize,
    pub(super) states: BTreeMap<&'static str, usize>,
}

/// Counts nodes by state.
pub(super) async fn counts(door: Admitted, mut params: Params) -> Result<Response, Problem> {
    let when = When::take(&mut params)?;
    params.done()?;
    let snapshot = door.snapshot_for_nodes(when).await?;
    let counts = apart(move || count(&door, &snapshot)).await;
    Ok(answer::json(counts.position, counts))
}

/// Counts the nodes of a snapshot.
pub(super) fn count(door: &Door, snapshot: &Snapshot) -> Counts {
    let state = &snapshot.configuration;
    let mut states: BTreeMap<_, _> = NodeState::ALL.into_iter().map(|state| (state.name(), 0)).collect();
    let (mut nodes, mut retired) = (0, 0);
    for (id, node) in state.nodes() {
        if node.retired {
            retired += 1;
            continue;
        }
        nodes += 1;
        *states.entry(door.state(snapshot, id, node).name()).or_default() += 1;
    }
    Counts { position: state.position(), at: state.at(), nodes, retired, states }
}
