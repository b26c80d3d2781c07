//! `GET /v1/nodes/{id}/files/{path}`: the bytes of a file exactly as the node gets them, be it a document or `jobs/<id>.json`.

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use projections::render::render;
use schema::id::NodeId;

use crate::http::answer::File;
use crate::http::auth::Admitted;
use crate::http::params::Params;
use crate::http::problem::Problem;

/// Shows a file.
pub(super) async fn one(
    door: Admitted,
    Path((id, path)): Path<(String, String)>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (id, state) = door.item::<NodeId>(&id, params).await?;
    let Some(manifest) = render(&state, &id) else {
        return Err(Problem::unknown("node", id.as_str()));
    };
    let Some(piece) = manifest.pieces.iter().find(|piece| piece.entry.path == path) else {
        let detail = format!("node {id} has no file {path}");
        return Err(Problem::new(StatusCode::NOT_FOUND, "unknown_file", detail).at("path"));
    };
    let file = File { media_type: &piece.entry.media_type, digest: piece.entry.digest, size: piece.entry.size };
    match &piece.content {
        // A job's spec is nowhere but in the state.
        Some(content) if !file.is_known(&headers) => Ok(file.bytes(state.position(), content.to_vec())),
        _ => door.file(state.position(), &file, &headers).await,
    }
}
