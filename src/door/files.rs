//! `GET /v1/nodes/{id}/files/{path}`: the bytes of a file exactly as the node gets them.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use projections::render::render;
use schema::desired::EntryKind;
use schema::id::NodeId;

use super::answer::File;
use super::documents::read;
use super::params::Params;
use super::problem::Problem;
use super::router::Door;
use super::snapshot::When;

/// Shows a file.
pub(super) async fn one(
    State(door): State<Door>,
    Path((id, path)): Path<(String, String)>,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let when = When::take(&mut params)?;
    params.done()?;
    let id: NodeId = read(&id)?;
    let state = door.snapshot(when).await?.configuration;
    let Some(manifest) = render(&state, &id) else {
        return Err(Problem::unknown("node", id.as_str()));
    };
    let mut entries = manifest.pieces.iter().map(|piece| &piece.entry);
    let Some(entry) = entries.find(|entry| entry.kind == EntryKind::Document && entry.path == path) else {
        let detail = format!("node {id} has no file {path}");
        return Err(Problem::new(StatusCode::NOT_FOUND, "unknown_file", detail).at("path"));
    };
    let file = File { media_type: &entry.media_type, digest: entry.digest };
    door.file(state.position(), &file, &headers).await
}
