//! `GET /v1/nodes/{id}/files/{path}`: a file exactly as the node gets it, be it a document or `jobs/<id>.json`.

use api::error_code::ErrorCode;
use projections::render::render;
use schema::id::NodeId;

use crate::http::answer::{File, FileContent};
use crate::http::operation::Asked;
use crate::http::path_id::{FilePath, PathId};
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::SnapshotQuery;

pub(super) async fn one(
    asked: Asked<(PathId<NodeId>, FilePath, SnapshotQuery)>,
) -> Result<FileContent, ProblemResponse> {
    let Asked { app, params: (PathId(id), FilePath(path), query), headers, .. } = asked;
    let state = app.snapshot(query).await?.configuration;
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
        Some(content) if !file.is_known(&headers) => {
            Ok(FileContent(file.with_content(state.position(), content.to_vec())))
        }
        _ => app.file_response(state.position(), &file, &headers).await,
    }
}
