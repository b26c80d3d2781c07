//! The log as it grows: server-sent events whose id is the position.
//!
//! A request's events are appended in one transaction, so none of them is ever shown before all of them are there. A
//! stream ends when the door closes, when the token that opened it is revoked or replaced, or when the log can't be read;
//! the client comes back with the last id that it saw, and misses nothing. What is read for a stream has room in memory
//! until it was sent. It also ends where the next events hold one that is not what was appended; whoever comes back is then
//! refused, because the first of them are read before a stream is answered.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
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

use crate::http::auth::Admitted;
use crate::http::event::View;
use crate::http::guarded::holding;
use crate::http::problem::Problem;
use crate::http::room::Room;
use crate::source::EventQuery;

/// Events that are read at once.
const EVENTS_READ: usize = 200;
/// Their bytes, unless the last of them has more.
const BYTES_READ: usize = 64 * 1024;
/// How often a stream says that it is there while nothing happens.
const ALIVE_EVERY: Duration = Duration::from_secs(15);
/// How long a stream may take to come to its end by itself once its token is good for nothing.
const END_WITHIN: Duration = Duration::from_millis(500);

/// Which events a stream shows.
pub(super) struct Filter {
    /// Only those about this.
    pub(super) entity: Option<Entity>,
    /// Only those of this type.
    pub(super) event_type: Option<String>,
}

struct Live {
    door: Admitted,
    filter: Filter,
    after: Position,
    ready: VecDeque<Event>,
    /// Room for what was read last.
    room: Option<Arc<Room>>,
    heads: watch::Receiver<Position>,
    /// Cancelled when the token is good for nothing any more.
    expired: CancellationToken,
    _expiry: AbortOnDropHandle<()>,
    _places: [OwnedSemaphorePermit; 2],
}

/// Opens a stream of what comes after a position.
pub(super) async fn stream(door: Admitted, filter: Filter, after: Position) -> Result<Response, Problem> {
    let place = |places: &Arc<Semaphore>| {
        Arc::clone(places).try_acquire_owned().map_err(|_| {
            let detail = "too many live streams are open";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", detail).retry_after(5)
        })
    };
    let places = [place(&door.caller.account.streams)?, place(door.streams())?];
    let expired = CancellationToken::new();
    let expiry = tokio::spawn(watch_token(door.clone(), expired.clone()));
    let mut live = Live {
        heads: door.source().heads(),
        door,
        filter,
        after,
        ready: VecDeque::new(),
        room: None,
        expired,
        _expiry: AbortOnDropHandle::new(expiry),
        _places: places,
    };
    let head = *live.heads.borrow_and_update();
    if after < head {
        live.read(head).await?;
    }
    let shown = unfold(live, |mut live| async { Some((Ok::<_, Infallible>(live.next().await?), live)) });
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-cache")];
    Ok((headers, Body::from_stream(shown)).into_response())
}

/// Waits until the token is good for nothing any more, and ends what it opened. A stream whose peer does not read is never
/// asked for more, and would not come to its end: its connection is broken off.
async fn watch_token(door: Admitted, expired: CancellationToken) {
    let mut heads = door.source().heads();
    while door.may_read() {
        if heads.changed().await.is_err() {
            return;
        }
    }
    expired.cancel();
    sleep(END_WITHIN).await;
    if let Some(connection) = &door.caller.connection {
        connection.cut();
    }
}

impl Live {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.door.closing().is_cancelled() || self.expired.is_cancelled() {
                return None;
            }
            if let Some(event) = self.ready.pop_front() {
                let line = line(event);
                return Some(self.room.as_ref().map_or(line.clone(), |room| holding(line, room)));
            }
            self.room = None;
            let head = *self.heads.borrow_and_update();
            if !self.door.may_read() {
                return None;
            }
            if self.after < head {
                let read = self.read(head).await;
                read.inspect_err(|problem| tracing::debug!(?problem, "a live stream ends early")).ok()?;
            } else if let Some(silence) = self.wait().await? {
                return Some(silence);
            }
        }
    }

    async fn read(&mut self, head: Position) -> Result<(), Problem> {
        let mut room = self.door.room(BYTES_READ + EVENT_DATA_BYTES_MAX).await?;
        let Filter { entity, event_type } = &self.filter;
        let (entity, event_type) = (entity.clone(), event_type.clone());
        let page =
            EventQuery { after: self.after, up_to: head, limit: EVENTS_READ, bytes: BYTES_READ, entity, event_type };
        let read = self.door.source().events(page).await;
        let events = read.inspect_err(|error| tracing::warn!(%error, "no more of the log can be streamed"))?;
        let bytes = events.iter().map(|event| event.data.len()).sum();
        self.after = match events.last() {
            Some(last) if events.len() >= EVENTS_READ || bytes > BYTES_READ => last.position,
            _ => head,
        };
        room.shrink(bytes);
        self.room = Some(Arc::new(room));
        self.ready = events.into();
        Ok(())
    }

    /// Waits for something new. Whoever reads is told from time to time that there is nothing.
    async fn wait(&mut self) -> Option<Option<Bytes>> {
        tokio::select! {
            changed = self.heads.changed() => changed.ok().map(|()| None),
            () = sleep(ALIVE_EVERY) => Some(Some(Bytes::from_static(b":\n\n"))),
            () = self.expired.cancelled() => None,
            () = self.door.closing().cancelled() => None,
        }
    }
}

fn line(event: Event) -> Bytes {
    let mut text = format!("id: {}\nevent: {}\n", event.position, event.event_type);
    let data = serde_json::to_string(&View::from(event)).expect("BUG: an event is text and numbers");
    // The stored text may go over several lines, each of which has to say that it is data.
    for line in data.split(['\n', '\r']) {
        text.extend(["data: ", line, "\n"]);
    }
    text.push('\n');
    text.into()
}
