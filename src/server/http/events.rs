//! `GET /v1/events`: the events of the log, in pages, or live if the caller accepts `text/event-stream`.

use api::media_type::EVENT_STREAM;
use api::page::ListPage;
use api::query::{AFTER, AT, CURSOR, ENTITY, TYPE};
use axum::http::{HeaderMap, HeaderName};
use axum::response::Response;
use schema::change::Change;
use schema::event::Event;
use schema::position::Position;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::event_log::EventPage;
use crate::http::answer::{self, accepts};
use crate::http::auth::AuthenticatedState;
use crate::http::context::AppState;
use crate::http::event::EventView;
use crate::http::live::{self, EventFilter};
use crate::http::paging::{PAGE_BYTES_MAX, PageBuilder, limit, memory_bytes};
use crate::http::params::{QueryParams, number};
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::SnapshotQuery;

/// The last event that a client got of a stream that broke.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// `cursor` and `limit` of a list of events. The cursor of such a list is a position, so that it means the same as `after`.
pub(super) struct EventRange {
    /// Only events after this position.
    pub(super) after: Position,
    /// At most this many.
    pub(super) limit: usize,
}

impl EventRange {
    /// Reads `limit` and `cursor`.
    pub(super) fn from_params(params: &mut QueryParams) -> Result<Self, ProblemResponse> {
        let after = params.take(CURSOR, |text| match text {
            "" => Ok(0),
            text => number(text).map_err(|_| "is not a cursor of this list".to_string()),
        })?;
        Ok(Self { after: after.unwrap_or(0).into(), limit: limit(params)? })
    }
}

pub(super) async fn list(
    app: AuthenticatedState,
    mut params: QueryParams,
    headers: HeaderMap,
) -> Result<Response, ProblemResponse> {
    let from = params.position(AFTER)?;
    let range = EventRange::from_params(&mut params)?;
    let after = from.unwrap_or(Position::ZERO).max(range.after);
    let filter = EventFilter {
        entity: params
            .take(ENTITY, |text| text.parse().map_err(|invalid: schema::invalid::InputError| invalid.detail))?,
        event_type: params.take(TYPE, event_type)?,
    };
    let query = SnapshotQuery::from_params(&mut params)?;
    params.done()?;
    if accepts(&headers, EVENT_STREAM) {
        if query.is_past() {
            return Err(ProblemResponse::invalid_parameter(AT, "a live stream has no past"));
        }
        let after = last_event(&headers)?.unwrap_or(after);
        app.snapshot(query).await?;
        return live::open_stream(app, filter, after).await;
    }
    let up_to = app.snapshot(query).await?.configuration.position();
    let EventFilter { entity, event_type } = filter;
    let memory = app.reserve_memory(memory_bytes(range.limit)).await?;
    let page = EventPage {
        after,
        up_to: Some(up_to),
        limit: range.limit,
        bytes: Some(PAGE_BYTES_MAX),
        entity: entity.map(|entity| entity.to_string()),
        event_type,
    };
    Ok(memory.attach_to(answer::json(up_to, read_page(&app, page, EventView::from).await?)))
}

/// Reads a page of events, and shows each with `show`.
pub(super) async fn read_page<T: Serialize>(
    app: &AppState,
    mut page: EventPage,
    show: impl Fn(Event) -> T,
) -> Result<ListPage<Box<RawValue>>, ProblemResponse> {
    let mut items = PageBuilder::new(page.limit);
    // One event more than is shown tells whether there is a next page.
    page.limit += 1;
    let mut last = None;
    for event in app.log().events(page).await? {
        let position = event.position;
        if !items.push(&show(event)) {
            return Ok(items.followed_by(last.map(|last: Position| last.to_string())));
        }
        last = Some(position);
    }
    Ok(items.followed_by(None))
}

fn event_type(text: &str) -> Result<String, String> {
    match Change::TYPES.contains(&text) {
        true => Ok(text.to_string()),
        false => Err(format!("is one of {}", Change::TYPES.join(", "))),
    }
}

fn last_event(headers: &HeaderMap) -> Result<Option<Position>, ProblemResponse> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let position = value.to_str().map_err(|_| "is a position".to_string()).and_then(number);
    position
        .map(|number| Some(number.into()))
        .map_err(|detail| ProblemResponse::invalid_parameter("Last-Event-ID", detail))
}
