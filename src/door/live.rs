//! The log as it grows: server-sent events whose id is the position.
//!
//! A request's events are appended in one transaction, so none of them is ever shown before all of them are there. A
//! stream ends when the door closes, when its caller's principal is revoked, or when the log can't be read; the client
//! comes back with the last id that it saw, and misses nothing.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::unfold;
use schema::entity::Entity;
use schema::event::Event;
use schema::id::PrincipalName;
use schema::position::Position;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::event::View;
use super::fittings::Door;
use super::problem::Problem;
use super::source::EventPage;

/// Events that are read at once.
const EVENTS_READ: usize = 200;

/// Which events a stream shows.
pub(super) struct Filter {
    /// Only those about this.
    pub(super) entity: Option<Entity>,
    /// Only those of this type.
    pub(super) event_type: Option<String>,
}

struct Live {
    door: Door,
    caller: PrincipalName,
    filter: Filter,
    after: Position,
    ready: VecDeque<Event>,
    heads: watch::Receiver<Position>,
    _place: OwnedSemaphorePermit,
}

/// Opens a stream of what comes after a position.
pub(super) fn stream(door: &Door, caller: PrincipalName, filter: Filter, after: Position) -> Result<Response, Problem> {
    let place = Arc::clone(door.streams()).try_acquire_owned().map_err(|_| {
        let detail = "too many live streams are open";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", detail).retry_after(5)
    })?;
    let heads = door.source().heads();
    let live = Live { door: door.clone(), caller, filter, after, ready: VecDeque::new(), heads, _place: place };
    let shown = unfold(live, |mut live| async {
        let event = live.next().await?;
        Some((Ok::<_, Infallible>(line(event)), live))
    });
    Ok(Sse::new(shown).keep_alive(KeepAlive::default()).into_response())
}

impl Live {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let head = *self.heads.borrow_and_update();
            if self.door.closing().is_cancelled() || !self.may_read() {
                return None;
            }
            if self.after < head {
                self.read(head).await?;
            } else {
                self.wait().await?;
            }
        }
    }

    fn may_read(&self) -> bool {
        self.door.source().view().role(&self.caller).is_some()
    }

    async fn read(&mut self, head: Position) -> Option<()> {
        let Filter { entity, event_type } = &self.filter;
        let (entity, event_type) = (entity.clone(), event_type.clone());
        let page = EventPage { after: self.after, up_to: head, limit: EVENTS_READ, entity, event_type };
        let read = self.door.source().events(page).await;
        let events = read.inspect_err(|error| tracing::warn!(%error, "a live stream ends early")).ok()?;
        self.after = match events.last() {
            Some(last) if events.len() >= EVENTS_READ => last.position,
            _ => head,
        };
        self.ready = events.into();
        Some(())
    }

    async fn wait(&mut self) -> Option<()> {
        tokio::select! {
            changed = self.heads.changed() => changed.ok(),
            () = self.door.closing().cancelled() => None,
        }
    }
}

fn line(event: Event) -> sse::Event {
    let line = sse::Event::default().id(event.position.to_string()).event(&event.event_type);
    line.json_data(View::from(event)).expect("BUG: an event is text and numbers")
}
