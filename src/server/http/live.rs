//! The live stream of events: server-sent events whose id is the position.
//!
//! The events of a request are committed together, so a stream never shows some of them before all are there. A stream ends as each
//! live stream does, and when the log can't be read, or before an event that is not what was appended. The client reconnects with the last id
//! that it got, and misses nothing; at a damaged event it is refused, because the first events are read before a stream is answered. Events
//! hold their memory permit until they were sent.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Bytes;
use axum::response::Response;
use futures::stream::unfold;
use schema::entity::Entity;
use schema::event::Event;
use schema::limit::EVENT_DATA_BYTES_MAX;
use schema::position::Position;
use tokio::sync::watch;

use crate::event_log::EventPage;
use crate::http::answer_memory::MemoryReservation;
use crate::http::auth::AuthenticatedState;
use crate::http::event;
use crate::http::guarded_body::guard_bytes;
use crate::http::problem::ProblemResponse;
use crate::http::stream_session::{COMMENT, StreamSession, StreamTurn, message, stream_response};

/// Events of one read.
const EVENTS_READ: usize = 200;
/// Bytes of one read, beside its last event.
const BYTES_READ: usize = 64 * 1024;

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
    session: StreamSession,
    filter: EventFilter,
    after: Position,
    ready: VecDeque<Event>,
    /// For the events in `ready`.
    memory: Option<Arc<MemoryReservation>>,
    heads: watch::Receiver<Position>,
}

/// Opens a stream of the events after a position.
pub(super) async fn open_stream(
    app: AuthenticatedState,
    filter: EventFilter,
    after: Position,
) -> Result<Response, ProblemResponse> {
    let heads = app.log().heads();
    let session = StreamSession::open(app)?;
    let mut live = LiveStream { session, filter, after, ready: VecDeque::new(), memory: None, heads };
    let head = *live.heads.borrow_and_update();
    if after < head {
        live.read(head).await?;
    }
    Ok(stream_response(unfold(live, |mut live| async { Some((live.next().await?, live)) })))
}

impl LiveStream {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                if self.session.has_ended() {
                    return None;
                }
                let shown = shown(event, self.filter.with_text);
                return Some(self.memory.as_ref().map_or(shown.clone(), |memory| guard_bytes(shown, memory)));
            }
            self.memory = None;
            let head = *self.heads.borrow_and_update();
            if self.session.is_over() {
                return None;
            }
            if self.after < head {
                let read = self.read(head).await;
                read.inspect_err(|problem| tracing::debug!(?problem, "a live stream ends early")).ok()?;
            } else {
                match self.session.wait(async { self.heads.changed().await.ok() }).await? {
                    StreamTurn::Next(()) => {}
                    StreamTurn::Idle => return Some(COMMENT),
                }
            }
        }
    }

    async fn read(&mut self, head: Position) -> Result<(), ProblemResponse> {
        let mut memory = self
            .session
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
        let read = self.session.app.log().events(page).await;
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
}

fn shown(event: Event, with_text: bool) -> Bytes {
    let (position, name) = (event.position, event.event_type.clone());
    let data = serde_json::to_string(&event::view(event, with_text)).expect("BUG: an event is text and numbers");
    message(position, &name, &data)
}
