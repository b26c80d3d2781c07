//! Documents, their metadata and their content.

use api::error_code::ErrorCode;
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::response::Response;
use projections::configuration::Document;
use schema::change::DocumentPut;
use schema::digest::Digest;
use schema::id::DocumentId;
use schema::instant::Instant;
use schema::position::{Position, Version};
use serde::Serialize;

use crate::event_log::DamagedError;
use crate::http::answer::{self, File};
use crate::http::auth::AuthenticatedState;
use crate::http::params::QueryParams;
use crate::http::problem::ProblemResponse;

/// A document as it is shown.
#[derive(Serialize)]
struct DocumentView<'a> {
    id: &'a DocumentId,
    #[serde(flatten)]
    put: &'a DocumentPut,
    version: Version,
    position: Position,
    at: Instant,
}

impl<'a> DocumentView<'a> {
    fn of(id: &'a DocumentId, document: &'a Document) -> Self {
        Self { id, put: &document.put, version: document.version, position: document.position, at: document.at }
    }
}

/// `GET /v1/documents`
pub(super) async fn list(app: AuthenticatedState, params: QueryParams) -> Result<Response, ProblemResponse> {
    let (page, memory, state) = app.page(params).await?;
    let rows = state.documents().range(page.keys::<DocumentId>());
    Ok(memory.attach_to(answer::json(state.position(), page.list(rows, |id, document| DocumentView::of(id, document)))))
}

/// `GET /v1/documents/{id}`
pub(super) async fn one(
    app: AuthenticatedState,
    Path(id): Path<String>,
    params: QueryParams,
) -> Result<Response, ProblemResponse> {
    let (id, state) = app.item::<DocumentId>(&id, params).await?;
    match state.documents().get(&id) {
        Some(document) => Ok(answer::json(state.position(), DocumentView::of(&id, document))),
        None => Err(ProblemResponse::unknown_entity("document", id.as_str())),
    }
}

/// `GET /v1/documents/{id}/content`
pub(super) async fn content(
    app: AuthenticatedState,
    Path(id): Path<String>,
    params: QueryParams,
    headers: HeaderMap,
) -> Result<Response, ProblemResponse> {
    let (id, state) = app.item::<DocumentId>(&id, params).await?;
    let Some(document) = state.documents().get(&id) else {
        return Err(ProblemResponse::unknown_entity("document", id.as_str()));
    };
    let DocumentPut { media_type, digest, size, .. } = &*document.put;
    let file = File { media_type: media_type.as_str(), digest: *digest, size: *size };
    app.file_response(state.position(), &file, &headers).await
}

/// The id in the path of a URL.
pub(super) fn parse_id<T: std::str::FromStr<Err = schema::invalid::InputError>>(
    id: &str,
) -> Result<T, ProblemResponse> {
    id.parse().map_err(|invalid: schema::invalid::InputError| ProblemResponse::invalid_parameter("id", invalid.detail))
}

impl AuthenticatedState {
    /// The file with its content, unless the caller has it.
    pub(super) async fn file_response(
        &self,
        position: Position,
        file: &File<'_>,
        headers: &HeaderMap,
    ) -> Result<Response, ProblemResponse> {
        if file.is_known(headers) {
            return Ok(file.not_modified(position));
        }
        let memory = self.reserve_memory(file.memory_bytes()).await?;
        match self.log().content(file.digest).await? {
            Some(bytes) => Ok(memory.attach_to(file.with_content(position, verified(bytes, file.digest)?))),
            None => {
                let detail = format!("the content {} is not there any more", file.digest);
                Err(ProblemResponse::new(ErrorCode::ContentGone, detail))
            }
        }
    }
}

/// Content that is not what its digest says is never served.
fn verified(bytes: Vec<u8>, digest: Digest) -> Result<Vec<u8>, ProblemResponse> {
    if Digest::of(&bytes) == digest {
        return Ok(bytes);
    }
    tracing::error!(%digest, "stored content does not have the digest that names it");
    Err(DamagedError(format!("the content {digest} is not what its digest says")).into())
}
