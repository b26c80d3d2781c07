//! Documents, their metadata and their content.

use api::document::DocumentView;
use api::error_code::ErrorCode;
use api::query::STAGED;
use axum::http::HeaderMap;
use projections::configuration::{Configuration, Document};
use schema::change::DocumentPut;
use schema::digest::Digest;
use schema::id::DocumentId;
use schema::position::Position;

use crate::event_log::DamagedError;
use crate::http::answer::{File, FileContent, JsonAnswer};
use crate::http::auth::AuthenticatedState;
use crate::http::bundles::BundleFilter;
use crate::http::operation::Asked;
use crate::http::paging::{PageQuery, RenderedPage};
use crate::http::params::{GivenParams, Parameter, RequestParameters, flag_schema};
use crate::http::path_id::PathId;
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::SnapshotQuery;

/// The document as it is shown.
pub(super) fn view(state: &Configuration, id: &DocumentId, document: &Document) -> DocumentView {
    let Document { put, position, at, .. } = document;
    let (put, bundle) = ((**put).clone(), state.bundles().owner(&id.into()).cloned());
    // A rollout may have given the document versions since that no other node has.
    let version = state.version(&id.into());
    let rollout = state.rollouts().underway(id).map(|staged| staged.rollout.clone());
    DocumentView { id: id.clone(), put, bundle, rollout, version, position: *position, at: *at }
}

const STAGED_PARAMETER: Parameter =
    Parameter::query(STAGED, "The document as the open rollout makes it that changes it, if one does.", flag_schema);

/// Which revision of a document is shown.
pub(super) struct RevisionQuery {
    staged: bool,
}

impl RequestParameters for RevisionQuery {
    fn declared() -> Vec<Parameter> {
        vec![STAGED_PARAMETER]
    }

    fn take(given: &GivenParams) -> Result<Self, ProblemResponse> {
        Ok(Self { staged: given.flag(&STAGED_PARAMETER)? })
    }
}

impl RevisionQuery {
    /// The document, or none: a rollout may also remove it.
    fn find<'a>(&self, state: &'a Configuration, id: &DocumentId) -> Result<&'a Document, ProblemResponse> {
        let staged = state.rollouts().underway(id).filter(|_| self.staged);
        let found = match staged {
            Some(staged) => staged.put.as_ref(),
            None => state.documents().get(id),
        };
        found.ok_or_else(|| ProblemResponse::unknown_entity("document", id.as_str()))
    }
}

/// `GET /v1/documents`
pub(super) async fn list(
    asked: Asked<(BundleFilter, PageQuery, SnapshotQuery)>,
) -> Result<JsonAnswer<RenderedPage<DocumentView>>, ProblemResponse> {
    let Asked { app, params: (filter, page, query), .. } = asked;
    let (memory, state) = app.page(&page, query).await?;
    let rows = state.documents().range(page.keys::<DocumentId>()).filter(|(id, _)| filter.fits(state.bundles(), *id));
    let listed = page.list(rows, |id, document| view(&state, id, document));
    Ok(JsonAnswer::new(state.position(), listed).with_memory(memory))
}

/// `GET /v1/documents/{id}`
pub(super) async fn one(
    asked: Asked<(PathId<DocumentId>, RevisionQuery, SnapshotQuery)>,
) -> Result<JsonAnswer<DocumentView>, ProblemResponse> {
    let Asked { app, params: (PathId(id), revision, query), .. } = asked;
    let state = app.snapshot(query).await?.configuration;
    let document = revision.find(&state, &id)?;
    Ok(JsonAnswer::new(state.position(), view(&state, &id, document)))
}

/// `GET /v1/documents/{id}/content`
pub(super) async fn content(
    asked: Asked<(PathId<DocumentId>, RevisionQuery, SnapshotQuery)>,
) -> Result<FileContent, ProblemResponse> {
    let Asked { app, params: (PathId(id), revision, query), headers, .. } = asked;
    let state = app.snapshot(query).await?.configuration;
    let DocumentPut { media_type, digest, size, .. } = &*revision.find(&state, &id)?.put;
    let file = File { media_type: media_type.as_str(), digest: *digest, size: *size };
    app.file_response(state.position(), &file, &headers).await
}

impl AuthenticatedState {
    /// The file with its content, unless the caller has it.
    pub(super) async fn file_response(
        &self,
        position: Position,
        file: &File<'_>,
        headers: &HeaderMap,
    ) -> Result<FileContent, ProblemResponse> {
        if file.is_known(headers) {
            return Ok(FileContent(file.not_modified(position)));
        }
        let memory = self.reserve_memory(file.memory_bytes()).await?;
        let bytes = self.verified_content(file.digest).await?;
        Ok(FileContent(memory.attach_to(file.with_content(position, bytes))))
    }

    /// The bytes that a digest names.
    pub(super) async fn verified_content(&self, digest: Digest) -> Result<Vec<u8>, ProblemResponse> {
        let gone =
            || ProblemResponse::new(ErrorCode::ContentGone, format!("the content {digest} is not there any more"));
        self.stored_content(digest).await?.ok_or_else(gone)
    }

    /// The bytes that a digest names, if they are stored.
    pub(super) async fn stored_content(&self, digest: Digest) -> Result<Option<Vec<u8>>, ProblemResponse> {
        self.log().content(digest).await?.map(|bytes| verified(bytes, digest)).transpose()
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
