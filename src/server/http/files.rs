//! `GET /v1/nodes/{id}/files/{path}`: a file exactly as the node gets it, be it a document or `jobs/<id>.json`.

use api::error_code::ErrorCode;
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::response::Response;
use projections::render::render;
use schema::id::NodeId;

use crate::http::answer::File;
use crate::http::auth::AuthenticatedState;
use crate::http::params::QueryParams;
use crate::http::problem::ProblemResponse;

pub(super) async fn one(
    app: AuthenticatedState,
    Path((id, path)): Path<(String, String)>,
    params: QueryParams,
    headers: HeaderMap,
) -> Result<Response, ProblemResponse> {
    let (id, state) = app.item::<NodeId>(&id, params).await?;
    let Some(manifest) = render(&state, &id) else {
        return Err(ProblemResponse::unknown_entity("node", id.as_str()));
    };
    let Some(piece) = manifest.pieces.iter().find(|piece| piece.entry.path == path) else {
        let detail = format!("node {id} has no file {path}");
        return Err(ProblemResponse::new(ErrorCode::UnknownFile, detail).in_field("path"));
    };
    let file = File { media_type: &piece.entry.media_type, digest: piece.entry.digest, size: piece.entry.size };
    match &piece.content {
        // A job's spec is rendered from the state, and not stored.
        Some(content) if !file.is_known(&headers) => Ok(file.with_content(state.position(), content.to_vec())),
        _ => app.file_response(state.position(), &file, &headers).await,
    }
}
