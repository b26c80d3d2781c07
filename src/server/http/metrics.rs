//! `GET /metrics`: the figures of this server, for a Prometheus that has an auditor's token.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use metrics::{self, OPEN_METRICS};
use schema::position::Position;

use crate::http::blocking::apart;
use crate::http::context::Door;
use crate::http::fleet;
use crate::http::snapshot::Snapshot;
use crate::source::EventQuery;

/// Shows the figures as of now.
pub(super) async fn show(State(door): State<Door>) -> Response {
    let snapshot = Snapshot { configuration: door.source().view(), past: false };
    let (head, published) = (snapshot.configuration.position(), door.published());
    let oldest = match published.filter(|published| *published < head) {
        Some(published) => oldest_after(&door, published, head).await,
        None => None,
    };
    metrics::reached(head, published, oldest, door.readiness().is_empty());
    metrics::unknown_nodes(door.ears().unknown());
    apart(move || {
        fleet::count(&door, &snapshot).states.into_iter().for_each(|(state, count)| metrics::nodes(state, count))
    })
    .await;
    ([(CONTENT_TYPE, OPEN_METRICS)], metrics::text()).into_response()
}

/// When the oldest event was appended that is not public; nothing if the log can't be read now.
async fn oldest_after(door: &Door, published: Position, head: Position) -> Option<schema::instant::Instant> {
    let page = EventQuery { after: published, up_to: head, limit: 1, bytes: 0, entity: None, event_type: None };
    Some(door.source().events(page).await.ok()?.first()?.at)
}
