//! `GET /v1/documents/{id}/versions`: all that ever happened to one document, also to one that is gone.

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

use crate::http::answer;
use crate::http::auth::Admitted;
use crate::http::documents::read;
use crate::http::events;
use crate::http::paging::{PAGE_BYTES_MAX, bytes};
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::http::snapshot::When;
use crate::source::EventQuery;

/// One version.
#[derive(Serialize)]
struct View {
    version: Version,
    position: Position,
    #[serde(rename = "type")]
    event_type: String,
    at: Instant,
    actor: Actor,
    reason: Option<String>,
    command_id: CommandId,
    /// None where the document was taken away.
    #[serde(flatten)]
    put: Option<DocumentPut>,
}

impl From<Event> for View {
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
pub(super) async fn list(door: Admitted, Path(id): Path<String>, mut params: Params) -> Result<Response, Problem> {
    let span = events::Span::take(&mut params)?;
    let when = When::take(&mut params)?;
    params.done()?;
    let id: DocumentId = read(&id)?;
    let state = door.snapshot(when).await?.configuration;
    let entity = Entity::from(&id);
    if state.version(&entity) == Version::ZERO {
        return Err(Problem::unknown("document", id.as_str()));
    }
    let (after, up_to) = (span.after, state.position());
    let room = door.room(bytes(span.limit)).await?;
    let page =
        EventQuery { after, up_to, limit: span.limit, bytes: PAGE_BYTES_MAX, entity: Some(entity), event_type: None };
    Ok(room.holding(answer::json(up_to, events::listing(&door, page, View::from).await?)))
}
