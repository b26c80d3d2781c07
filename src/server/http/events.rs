//! `GET /v1/events`: the events of the log, in pages, or live if the caller accepts `text/event-stream`.

use api::event::EventView;
use api::media_type::EVENT_STREAM;
use api::query::{AFTER, AT, CURSOR, DATA_TEXT, ENTITY, TYPE};
use axum::http::{HeaderMap, HeaderName};
use schema::change::Change;
use schema::entity::Kind;
use schema::event::Event;
use schema::invalid::InputError;
use schema::limit::EVENT_DATA_BYTES_MAX;
use schema::position::Position;
use schemars::{Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::json;

use crate::event_log::EventPage;
use crate::http::answer::{BodyType, JsonAnswer, JsonOr, Raw, accepts};
use crate::http::context::AppState;
use crate::http::event;
use crate::http::live::{self, EventFilter};
use crate::http::operation::Asked;
use crate::http::paging::{PAGE_BYTES_MAX, PageBuilder, PageLimit, RenderedPage, memory_for};
use crate::http::params::{GivenParams, Parameter, RequestParameters, number, position_schema};
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::SnapshotQuery;

/// The last event that a client got of a stream that broke.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

const EVENT_CURSOR: Parameter = Parameter::query(
    CURSOR,
    "Where the page begins: `next` of the page before it. An empty cursor, or none, is the beginning of the log.",
    || json!({"type": "string", "pattern": "^[0-9]*$", "maxLength": 19}),
);
const AFTER_POSITION: Parameter = Parameter::query(AFTER, "Only events after this position.", position_schema);
const ABOUT_ENTITY: Parameter =
    Parameter::query(ENTITY, "Only events about this entity, written `<kind>/<id>`.", || {
        let kinds = Kind::ALL.map(|kind| kind.name().to_owned()).join("|");
        json!({"type": "string", "pattern": format!("^({kinds})/[A-Za-z0-9][A-Za-z0-9_-]{{0,63}}$")})
    });
const OF_TYPE: Parameter =
    Parameter::query(TYPE, "Only events of this type.", || json!({"type": "string", "enum": Change::TYPES.as_slice()}));
const WITH_TEXT: Parameter = Parameter::query(
    DATA_TEXT,
    "Whether each event also has its data as text, from which its leaf can be computed.",
    || json!({"type": "boolean", "default": false}),
);
const RESUME: Parameter = Parameter::header(
    "Last-Event-ID",
    "Of a live stream: the position of the last event that the client got. The stream goes on after it. A page ignores it.",
    || json!({"type": "string"}),
);

/// `cursor` and `limit` of a list of events. The cursor of such a list is a position, so that it means the same as `after`.
pub(super) struct EventRange {
    /// Only events after this position.
    pub(super) after: Position,
    /// At most this many.
    pub(super) limit: usize,
}

/// What `GET /v1/events` is asked for, beside the range and the state.
pub(super) struct EventQuery {
    after: Position,
    filter: EventFilter,
    /// After this event, if the request resumes a live stream; the refusal of the header counts for a live stream only.
    resume_after: Result<Option<Position>, ProblemResponse>,
}

/// A live stream of events.
pub(super) struct EventStream;

impl BodyType for EventStream {
    const NAME: &'static str = EVENT_STREAM;

    /// An item of the stream; it stands behind `data:`.
    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<EventView>()
    }
}

impl RequestParameters for EventRange {
    fn declared() -> Vec<Parameter> {
        [PageLimit::declared(), vec![EVENT_CURSOR]].concat()
    }

    fn take(given: &GivenParams) -> Result<Self, ProblemResponse> {
        let PageLimit(limit) = PageLimit::take(given)?;
        let after = given.query(&EVENT_CURSOR, |text| match text {
            "" => Ok(0),
            text => number(text).map_err(|_| "is not a cursor of this list".to_string()),
        })?;
        Ok(Self { after: after.unwrap_or(0).into(), limit })
    }
}

impl RequestParameters for EventQuery {
    fn declared() -> Vec<Parameter> {
        vec![AFTER_POSITION, ABOUT_ENTITY, OF_TYPE, WITH_TEXT, RESUME]
    }

    fn take(given: &GivenParams) -> Result<Self, ProblemResponse> {
        let entity = given.query(&ABOUT_ENTITY, |text| text.parse().map_err(|invalid: InputError| invalid.detail))?;
        Ok(Self {
            after: given.position(&AFTER_POSITION)?.unwrap_or_default(),
            filter: EventFilter {
                entity,
                event_type: given.query(&OF_TYPE, event_type)?,
                with_text: given.flag(&WITH_TEXT)?,
            },
            resume_after: last_event(given.headers()),
        })
    }
}

pub(super) async fn list(
    asked: Asked<(EventRange, EventQuery, SnapshotQuery)>,
) -> Result<JsonOr<RenderedPage<EventView>, EventStream>, ProblemResponse> {
    let Asked { app, params: (range, EventQuery { after, filter, resume_after }, query), headers, .. } = asked;
    let after = after.max(range.after);
    if accepts(&headers, EVENT_STREAM) {
        if query.is_past() {
            return Err(ProblemResponse::invalid_parameter(AT, "a live stream has no past"));
        }
        let after = resume_after?.unwrap_or(after);
        app.snapshot(query).await?;
        return Ok(JsonOr::Other(Raw::new(live::open_stream(app, filter, after).await?)));
    }
    let up_to = app.snapshot(query).await?.configuration.position();
    let EventFilter { entity, event_type, with_text } = filter;
    let memory =
        app.reserve_memory(memory_for(range.limit, event::shown_bytes(EVENT_DATA_BYTES_MAX, with_text))).await?;
    let page = EventPage {
        after,
        up_to: Some(up_to),
        limit: range.limit,
        bytes: Some(PAGE_BYTES_MAX),
        entity: entity.map(|entity| entity.to_string()),
        event_type,
    };
    let listed = read_page(&app, page, |event| event::view(event, with_text)).await?;
    Ok(JsonOr::Json(JsonAnswer::new(up_to, listed).with_memory(memory)))
}

/// Reads a page of events, and shows each with `show`.
pub(super) async fn read_page<T: Serialize>(
    app: &AppState,
    mut page: EventPage,
    show: impl Fn(Event) -> T,
) -> Result<RenderedPage<T>, ProblemResponse> {
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
