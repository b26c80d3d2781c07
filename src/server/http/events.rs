//! `GET /v1/events`: the log itself, in pages, or live where the caller takes `text/event-stream`.

use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, HeaderName};
use axum::response::Response;
use schema::change::Change;
use schema::event::Event;
use schema::position::Position;
use serde::Serialize;

use crate::http::answer;
use crate::http::auth::Admitted;
use crate::http::context::Door;
use crate::http::event::View;
use crate::http::live::{self, Filter};
use crate::http::paging::{Items, Listing, PAGE_BYTES_MAX, bytes, limit};
use crate::http::params::{Params, number};
use crate::http::problem::Problem;
use crate::http::snapshot::When;
use crate::source::EventQuery;

/// Where a client of a broken stream was.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Which part of the log, forward from a position. The cursor of such a list is a position, so that it can be given as
/// `after` just as well.
pub(super) struct Span {
    /// Only what comes after.
    pub(super) after: Position,
    /// At most so many.
    pub(super) limit: usize,
}

impl Span {
    /// Reads `limit` and `cursor`.
    pub(super) fn take(params: &mut Params) -> Result<Self, Problem> {
        let after = params.take("cursor", |text| match text {
            "" => Ok(0),
            text => number(text).map_err(|_| "is not a cursor of this list".to_string()),
        })?;
        Ok(Self { after: after.unwrap_or(0).into(), limit: limit(params)? })
    }
}

/// Shows events.
pub(super) async fn list(door: Admitted, mut params: Params, headers: HeaderMap) -> Result<Response, Problem> {
    let from = params.position("after")?;
    let span = Span::take(&mut params)?;
    let after = from.unwrap_or(Position::ZERO).max(span.after);
    let filter = Filter {
        entity: params
            .take("entity", |text| text.parse().map_err(|invalid: schema::invalid::Invalid| invalid.detail))?,
        event_type: params.take("type", event_type)?,
    };
    let when = When::take(&mut params)?;
    params.done()?;
    if wants_stream(&headers) {
        if when.is_past() {
            return Err(Problem::parameter("at", "a live stream has no past"));
        }
        let after = last_event(&headers)?.unwrap_or(after);
        door.snapshot(when).await?;
        return live::stream(door, filter, after).await;
    }
    let up_to = door.snapshot(when).await?.configuration.position();
    let Filter { entity, event_type } = filter;
    let room = door.room(bytes(span.limit)).await?;
    let page = EventQuery { after, up_to, limit: span.limit, bytes: PAGE_BYTES_MAX, entity, event_type };
    Ok(room.holding(answer::json(up_to, listing(&door, page, View::from).await?)))
}

/// A page of events, and the cursor of the next.
pub(super) async fn listing<T: Serialize>(
    door: &Door,
    mut page: EventQuery,
    show: impl Fn(Event) -> T,
) -> Result<Listing, Problem> {
    let mut items = Items::new(page.limit);
    // One more than is shown says whether there is more.
    page.limit += 1;
    let mut last = None;
    for event in door.source().events(page).await? {
        let position = event.position;
        if !items.add(&show(event)) {
            return Ok(items.before(last.map(|last: Position| last.to_string())));
        }
        last = Some(position);
    }
    Ok(items.before(None))
}

fn event_type(text: &str) -> Result<String, String> {
    match Change::TYPES.contains(&text) {
        true => Ok(text.to_string()),
        false => Err(format!("is one of {}", Change::TYPES.join(", "))),
    }
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut kinds = accepted.flat_map(|list| list.split(',')).filter_map(|kind| kind.split(';').next());
    kinds.any(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
}

fn last_event(headers: &HeaderMap) -> Result<Option<Position>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let position = value.to_str().map_err(|_| "is a position".to_string()).and_then(number);
    position.map(|number| Some(number.into())).map_err(|detail| Problem::parameter("Last-Event-ID", detail))
}
