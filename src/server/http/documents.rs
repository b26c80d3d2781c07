//! Documents: what an administrator put, and its bytes.

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use projections::configuration::Document;
use schema::change::DocumentPut;
use schema::digest::Digest;
use schema::id::DocumentId;
use schema::instant::Instant;
use schema::position::{Position, Version};
use serde::Serialize;

use crate::http::answer::{self, File};
use crate::http::auth::Admitted;
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::source::DamagedError;

/// A document as it is shown.
#[derive(Serialize)]
struct View<'a> {
    id: &'a DocumentId,
    #[serde(flatten)]
    put: &'a DocumentPut,
    version: Version,
    position: Position,
    at: Instant,
}

impl<'a> View<'a> {
    fn of(id: &'a DocumentId, document: &'a Document) -> Self {
        Self { id, put: &document.put, version: document.version, position: document.position, at: document.at }
    }
}

/// `GET /v1/documents`
pub(super) async fn list(door: Admitted, params: Params) -> Result<Response, Problem> {
    let (page, room, state) = door.page(params).await?;
    let rows = state.documents().range(page.keys::<DocumentId>());
    Ok(room.holding(answer::json(state.position(), page.list(rows, |id, document| View::of(id, document)))))
}

/// `GET /v1/documents/{id}`
pub(super) async fn one(door: Admitted, Path(id): Path<String>, params: Params) -> Result<Response, Problem> {
    let (id, state) = door.item::<DocumentId>(&id, params).await?;
    match state.documents().get(&id) {
        Some(document) => Ok(answer::json(state.position(), View::of(&id, document))),
        None => Err(Problem::unknown("document", id.as_str())),
    }
}

/// `GET /v1/documents/{id}/content`
pub(super) async fn content(
    door: Admitted,
    Path(id): Path<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (id, state) = door.item::<DocumentId>(&id, params).await?;
    let Some(document) = state.documents().get(&id) else {
        return Err(Problem::unknown("document", id.as_str()));
    };
    let DocumentPut { media_type, digest, size, .. } = &*document.put;
    let file = File { media_type: media_type.as_str(), digest: *digest, size: *size };
    door.file(state.position(), &file, &headers).await
}

/// The id in a path.
pub(super) fn read<T: std::str::FromStr<Err = schema::invalid::Invalid>>(id: &str) -> Result<T, Problem> {
    id.parse().map_err(|invalid: schema::invalid::Invalid| Problem::parameter("id", invalid.detail))
}

impl Admitted {
    /// The bytes of a file, unless the caller has them.
    pub(super) async fn file(
        &self,
        position: Position,
        file: &File<'_>,
        headers: &HeaderMap,
    ) -> Result<Response, Problem> {
        if file.is_known(headers) {
            return Ok(file.not_modified(position));
        }
        let room = self.room(file.bytes_read()).await?;
        match self.source().content(file.digest).await? {
            Some(bytes) => Ok(room.holding(file.bytes(position, checked(bytes, file.digest)?))),
            None => {
                let detail = format!("the content {} is not there any more", file.digest);
                Err(Problem::new(StatusCode::GONE, "content_gone", detail))
            }
        }
    }
}

/// Bytes are served under their own name only.
fn checked(bytes: Vec<u8>, digest: Digest) -> Result<Vec<u8>, Problem> {
    if Digest::of(&bytes) == digest {
        return Ok(bytes);
    }
    tracing::error!(%digest, "stored content does not have the digest that names it");
    Err(DamagedError(format!("the content {digest} is not what its digest says")).into())
}
