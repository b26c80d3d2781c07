//! The live stream of events: server-sent events whose id is the position.
//!
//! The events of a request are committed together, so a stream never shows some of them before all are there. A stream ends
//! when the server stops, when the token that opened it is revoked or replaced, when the log can't be read, or before an event
//! that is not what was appended. The client reconnects with the last id that it got, and misses nothing; at a damaged event it
//! is refused, because the first events are read before a stream is answered. Events hold their memory permit until they were
//! sent.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use api::error_code::ErrorCode;
use api::media_type::EVENT_STREAM;
use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures::stream::unfold;
use schema::entity::Entity;
use schema::event::Event;
use schema::limit::EVENT_DATA_BYTES_MAX;
use schema::position::Position;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::event_log::EventPage;
use crate::http::answer_memory::MemoryReservation;
use crate::http::auth::AuthenticatedState;
use crate::http::event;
use crate::http::guarded_body::guard_bytes;
use crate::http::problem::ProblemResponse;

/// Events of one read.
const EVENTS_READ: usize = 200;
/// Bytes of one read, beside its last event.
const BYTES_READ: usize = 64 * 1024;
/// How often an idle stream sends a comment, so that the client can tell that it lives.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);
/// How long a stream may take to end by itself once its token is invalid.
const END_GRACE: Duration = Duration::from_millis(500);

/// Which events a stream shows.
pub(super) struct EventFilter {
    /// Only events about this entity.
    pub(super) entity: Option<Entity>,
    /// Only events of this type.
    pub(super) event_type: Option<String>,
    /// Whether each event has its data as text, too.
    pub(super) with_text: bool,
}

struct LiveStream {
    app: AuthenticatedState,
    filter: EventFilter,
    after: Position,
    ready: VecDeque<Event>,
    /// For the events in `ready`.
    memory: Option<Arc<MemoryReservation>>,
    heads: watch::Receiver<Position>,
    /// Cancelled when the token has become invalid.
    expired: CancellationToken,
    _expiry: AbortOnDropHandle<()>,
    _permits: [OwnedSemaphorePermit; 2],
}

/// Opens a stream of the events after a position.
pub(super) async fn open_stream(
    app: AuthenticatedState,
    filter: EventFilter,
    after: Position,
) -> Result<Response, ProblemResponse> {
    let permit = |permits: &Arc<Semaphore>| {
        Arc::clone(permits).try_acquire_owned().map_err(|_| {
            let detail = "too many live streams are open";
            ProblemResponse::new(ErrorCode::TooManyStreams, detail).retry_after(5)
        })
    };
    let permits = [permit(&app.caller.quota.streams)?, permit(app.streams())?];
    let expired = CancellationToken::new();
    let expiry = tokio::spawn(watch_token(app.clone(), expired.clone()));
    let mut live = LiveStream {
        heads: app.log().heads(),
        app,
        filter,
        after,
        ready: VecDeque::new(),
        memory: None,
        expired,
        _expiry: AbortOnDropHandle::new(expiry),
        _permits: permits,
    };
    let head = *live.heads.borrow_and_update();
    if after < head {
        live.read(head).await?;
    }
    let shown = unfold(live, |mut live| async { Some((Ok::<_, Infallible>(live.next().await?), live)) });
    let headers = [(CONTENT_TYPE, EVENT_STREAM), (CACHE_CONTROL, "no-cache")];
    Ok((headers, Body::from_stream(shown)).into_response())
}

/// Waits until the token is invalid, then ends the stream. A stream whose peer does not read is never polled and can't end by
/// itself: its connection is aborted.
async fn watch_token(app: AuthenticatedState, expired: CancellationToken) {
    let mut heads = app.log().heads();
    while app.token_is_valid() {
        if heads.changed().await.is_err() {
            return;
        }
    }
    expired.cancel();
    sleep(END_GRACE).await;
    if let Some(connection) = &app.caller.connection {
        connection.abort();
    }
}

impl LiveStream {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.app.closing().is_cancelled() || self.expired.is_cancelled() {
                return None;
            }
            if let Some(event) = self.ready.pop_front() {
                let frame = frame(event, self.filter.with_text);
                return Some(self.memory.as_ref().map_or(frame.clone(), |memory| guard_bytes(frame, memory)));
            }
            self.memory = None;
            let head = *self.heads.borrow_and_update();
            if !self.app.token_is_valid() {
                return None;
            }
            if self.after < head {
                let read = self.read(head).await;
                read.inspect_err(|problem| tracing::debug!(?problem, "a live stream ends early")).ok()?;
            } else if let Some(comment) = self.wait().await? {
                return Some(comment);
            }
        }
    }

    async fn read(&mut self, head: Position) -> Result<(), ProblemResponse> {
        let mut memory = self
            .app
            .reserve_memory(event::shown_bytes(BYTES_READ + EVENT_DATA_BYTES_MAX, self.filter.with_text))
            .await?;
        let EventFilter { entity, event_type, with_text } = &self.filter;
        let page = EventPage {
            after: self.after,
            up_to: Some(head),
            limit: EVENTS_READ,
            bytes: Some(BYTES_READ),
            entity: entity.as_ref().map(ToString::to_string),
            event_type: event_type.clone(),
        };
        let read = self.app.log().events(page).await;
        let events = read.inspect_err(|error| tracing::warn!(%error, "a live stream can't read the log"))?;
        let bytes = events.iter().map(|event| event.data.len()).sum();
        self.after = match events.last() {
            Some(last) if events.len() >= EVENTS_READ || bytes > BYTES_READ => last.position,
            _ => head,
        };
        memory.shrink(event::shown_bytes(bytes, *with_text));
        self.memory = Some(Arc::new(memory));
        self.ready = events.into();
        Ok(())
    }

    /// Waits for a new head; from time to time it gives a comment to send. None ends the stream.
    async fn wait(&mut self) -> Option<Option<Bytes>> {
        tokio::select! {
            changed = self.heads.changed() => changed.ok().map(|()| None),
            () = sleep(KEEP_ALIVE_EVERY) => Some(Some(Bytes::from_static(b":\n\n"))),
            () = self.expired.cancelled() => None,
            () = self.app.closing().cancelled() => None,
        }
    }
}

fn frame(event: Event, with_text: bool) -> Bytes {
    let mut text = format!("id: {}\nevent: {}\n", event.position, event.event_type);
    let data = serde_json::to_string(&event::view(event, with_text)).expect("BUG: an event is text and numbers");
    // Stored JSON may have several lines, and each needs the field name of its own.
    for line in data.split(['\n', '\r']) {
        text.extend(["data: ", line, "\n"]);
    }
    text.push('\n');
    text.into()
}
