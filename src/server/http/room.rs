//! Memory for answers: counted from before an answer is read until its last byte was given to the socket.
//!
//! Always: the answers in memory never have more bytes than all principals may have together, and those for one principal
//! never more than its part. Absent on purpose: how large an answer may become, which is its maker's to bound.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::Body as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio::time::timeout;

use crate::http::auth::{Admitted, Caller};
use crate::http::context::Door;
use crate::http::guarded::guarded;
use crate::http::limits::overloaded;
use crate::http::problem::Problem;

/// Room in memory for the bytes of an answer, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Room {
    all: OwnedSemaphorePermit,
    own: OwnedSemaphorePermit,
}

/// Room that travels in a response's extensions to where its body is counted. Extensions have to be cloned, so it is shared.
#[derive(Clone)]
struct Kept(Arc<Room>);

impl Admitted {
    /// Room for an answer of so many bytes, once there is some.
    pub(super) async fn room(&self, bytes: usize) -> Result<Room, Problem> {
        let kib = kib(bytes);
        let room = async {
            let own = Arc::clone(&self.caller.account.answers).acquire_many_owned(kib).await;
            let all = Arc::clone(self.answers()).acquire_many_owned(kib).await;
            Room {
                all: all.expect("BUG: the room for answers is never closed"),
                own: own.expect("BUG: the room for answers is never closed"),
            }
        };
        timeout(self.limits().answer_wait, room).await.map_err(|_| crowded())
    }
}

impl Room {
    /// Gives back what is more than an answer of so many bytes needs.
    pub(super) fn shrink(&mut self, bytes: usize) {
        for permit in [&mut self.all, &mut self.own] {
            let surplus = permit.num_permits().saturating_sub(kib(bytes) as usize);
            drop(permit.split(surplus));
        }
    }

    /// The response, whose body takes this room with it.
    pub(super) fn holding(self, mut response: Response) -> Response {
        response.extensions_mut().insert(Kept(Arc::new(self)));
        response
    }
}

/// Counts the bytes of every answer to a question. The answer to a command is sent in any case: what was appended is not
/// to be called refused.
pub(super) async fn count(State(door): State<Door>, request: Request, next: Next) -> Response {
    let is_question = matches!(*request.method(), Method::GET | Method::HEAD);
    let caller = request.extensions().get::<Caller>().cloned();
    let mut response = next.run(request).await;
    let kept = response.extensions_mut().remove::<Kept>();
    // What has no size is a live stream, which counts what it sends by itself.
    let (Some(caller), Some(bytes), true) = (caller, response.body().size_hint().exact(), is_question) else {
        return response;
    };
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    let room = match kept.and_then(|Kept(room)| Arc::into_inner(room)) {
        Some(mut room) => {
            room.shrink(bytes);
            Ok(room)
        }
        None => room_now(&door, &caller, bytes),
    };
    match room {
        Ok(room) => guarded(response, room),
        Err(problem) => problem.into_response(),
    }
}

/// Room for an answer that is there already, if there is any.
fn room_now(door: &Door, caller: &Caller, bytes: usize) -> Result<Room, Problem> {
    let take = |room: &Arc<Semaphore>| Arc::clone(room).try_acquire_many_owned(kib(bytes));
    let taken = take(&caller.account.answers).and_then(|own| Ok(Room { all: take(door.answers())?, own }));
    taken.map_err(|_: TryAcquireError| crowded())
}

fn crowded() -> Problem {
    overloaded("too many bytes of answers wait to be read: read them, or ask for fewer at once")
}

fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}
