//! `GET /v1/documents/{id}/versions`: every version of a document, also of one that was removed.

use std::sync::Arc;

use axum::extract::Path;
use axum::response::Response;
use schema::change::{Change, DocumentPut};
use schema::entity::{Actor, Entity};
use schema::event::Event;
use schema::id::{CommandId, DocumentId};
use schema::instant::Instant;
use schema::position::{Position, Version};
use serde::Serialize;

use crate::event_log::EventPage;
use crate::http::answer;
use crate::http::auth::AuthenticatedState;
use crate::http::documents::parse_id;
use crate::http::events;
use crate::http::paging::{PAGE_BYTES_MAX, memory_bytes};
use crate::http::params::QueryParams;
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::SnapshotQuery;

#[derive(Serialize)]
struct DocumentVersionView {
    version: Version,
    position: Position,
    #[serde(rename = "type")]
    event_type: String,
    at: Instant,
    actor: Actor,
    reason: Option<String>,
    command_id: CommandId,
    /// None in the version that removed the document.
    #[serde(flatten)]
    put: Option<DocumentPut>,
}

impl From<Event> for DocumentVersionView {
    fn from(event: Event) -> Self {
        let put = match event.change() {
            Ok(Change::DocumentPut(put)) => Some(Arc::unwrap_or_clone(put)),
            _ => None,
        };
        let Event { version, position, event_type, at, actor, reason, command_id, .. } = event;
        Self { version, position, event_type, at, actor, reason, command_id, put }
    }
}

/// The versions of a document, the first one first.
pub(super) async fn list(
    app: AuthenticatedState,
    Path(id): Path<String>,
    mut params: QueryParams,
) -> Result<Response, ProblemResponse> {
    let range = events::EventRange::from_params(&mut params)?;
    let query = SnapshotQuery::from_params(&mut params)?;
    params.done()?;
    let id: DocumentId = parse_id(&id)?;
    let state = app.snapshot(query).await?.configuration;
    let entity = Entity::from(&id);
    if state.version(&entity) == Version::ZERO {
        return Err(ProblemResponse::unknown_entity("document", id.as_str()));
    }
    let up_to = state.position();
    let memory = app.reserve_memory(memory_bytes(range.limit)).await?;
    let page = EventPage {
        after: range.after,
        up_to: Some(up_to),
        limit: range.limit,
        bytes: Some(PAGE_BYTES_MAX),
        entity: Some(entity.to_string()),
        event_type: None,
    };
    Ok(memory.attach_to(answer::json(up_to, events::read_page(&app, page, DocumentVersionView::from).await?)))
}
