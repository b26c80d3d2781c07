//! `GET /v1/documents/{id}/versions`: every version of a document, also of one that was removed.

use std::sync::Arc;

use api::document::DocumentVersion;
use schema::change::Change;
use schema::entity::Entity;
use schema::event::Event;
use schema::id::DocumentId;
use schema::position::Version;

use crate::event_log::EventPage;
use crate::http::answer::JsonAnswer;
use crate::http::events::{self, EventRange};
use crate::http::operation::Asked;
use crate::http::paging::{PAGE_BYTES_MAX, RenderedPage, memory_bytes};
use crate::http::path_id::PathId;
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::SnapshotQuery;

fn view(event: Event) -> DocumentVersion {
    let put = match event.change() {
        Ok(Change::DocumentPut(put)) => Some(Arc::unwrap_or_clone(put)),
        Ok(Change::DocumentStaged(staged)) => Some(Arc::unwrap_or_clone(staged).put),
        _ => None,
    };
    let Event { version, position, event_type, at, actor, reason, command_id, .. } = event;
    DocumentVersion { version, position, event_type, at, actor, reason, command_id, put }
}

/// The versions of a document, the first one first.
pub(super) async fn list(
    asked: Asked<(PathId<DocumentId>, EventRange, SnapshotQuery)>,
) -> Result<JsonAnswer<RenderedPage<DocumentVersion>>, ProblemResponse> {
    let Asked { app, params: (PathId(id), range, query), .. } = asked;
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
    Ok(JsonAnswer::new(up_to, events::read_page(&app, page, view).await?).with_memory(memory))
}
