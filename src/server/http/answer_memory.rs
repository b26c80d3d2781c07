//! Limits on the memory of answers, reserved before an answer is read and given back when its last byte was written to the
//! socket.
//!
//! Always: all answers in memory together, and those for one principal, have at most as many bytes as their limits say. Absent on
//! purpose: a limit on one answer, which the handler that makes it has to keep.

use std::sync::Arc;

use axum::http::Method;
use axum::response::{IntoResponse, Response};
use hyper::body::Body as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio::time::timeout;

use crate::http::auth::{AuthenticatedState, Caller};
use crate::http::context::AppState;
use crate::http::guarded_body::guard_body;
use crate::http::problem::ProblemResponse;
use crate::http::request_limits::overloaded;

/// A permit for the bytes of an answer, given back when it is dropped.
#[derive(Debug)]
pub(super) struct MemoryReservation {
    shared: OwnedSemaphorePermit,
    own: OwnedSemaphorePermit,
}

/// A reservation in the extensions of a response, on its way to [`reserve_for_answer`]. Extensions must be `Clone`, so it is
/// shared.
#[derive(Clone)]
struct AttachedReservation(Arc<MemoryReservation>);

impl AuthenticatedState {
    /// Reserves memory for an answer; it waits a short time if there is none.
    pub(super) async fn reserve_memory(&self, bytes: usize) -> Result<MemoryReservation, ProblemResponse> {
        let kib = kib(bytes);
        let reservation = async {
            let own = Arc::clone(&self.caller.quota.answer_kib).acquire_many_owned(kib).await;
            let shared = Arc::clone(self.answer_kib()).acquire_many_owned(kib).await;
            MemoryReservation {
                shared: shared.expect("BUG: this semaphore is never closed"),
                own: own.expect("BUG: this semaphore is never closed"),
            }
        };
        timeout(self.limits().answer_wait, reservation).await.map_err(|_| too_many_bytes())
    }
}

impl MemoryReservation {
    /// Gives back what an answer of `bytes` does not need.
    pub(super) fn shrink(&mut self, bytes: usize) {
        for permit in [&mut self.shared, &mut self.own] {
            let surplus = permit.num_permits().saturating_sub(kib(bytes) as usize);
            drop(permit.split(surplus));
        }
    }

    /// Adds another reservation of the same caller.
    pub(super) fn merge(&mut self, other: Self) {
        self.shared.merge(other.shared);
        self.own.merge(other.own);
    }

    /// Ties the reservation to a response.
    pub(super) fn attach_to(self, mut response: Response) -> Response {
        response.extensions_mut().insert(AttachedReservation(Arc::new(self)));
        response
    }
}

/// Reserves memory for an answer to a read. The answer to a command is sent in any case: a request that was appended must not be
/// answered as if it was refused.
pub(super) fn reserve_for_answer(app: &AppState, caller: &Caller, method: &Method, mut response: Response) -> Response {
    let attached = response.extensions_mut().remove::<AttachedReservation>();
    // A body without a size is a live stream, which reserves memory by itself.
    let (Some(bytes), &Method::GET | &Method::HEAD) = (response.body().size_hint().exact(), method) else {
        return response;
    };
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    let reservation = match attached.and_then(|AttachedReservation(reservation)| Arc::into_inner(reservation)) {
        Some(mut reservation) => {
            reservation.shrink(bytes);
            Ok(reservation)
        }
        None => try_reserve(app, caller, bytes),
    };
    match reservation {
        Ok(reservation) => guard_body(response, reservation),
        Err(problem) => problem.into_response(),
    }
}

/// Reserves memory for an answer that was made already, without waiting.
fn try_reserve(app: &AppState, caller: &Caller, bytes: usize) -> Result<MemoryReservation, ProblemResponse> {
    let take = |semaphore: &Arc<Semaphore>| Arc::clone(semaphore).try_acquire_many_owned(kib(bytes));
    let taken =
        take(&caller.quota.answer_kib).and_then(|own| Ok(MemoryReservation { shared: take(app.answer_kib())?, own }));
    taken.map_err(|_: TryAcquireError| too_many_bytes())
}

fn too_many_bytes() -> ProblemResponse {
    overloaded("too many bytes of answers wait to be read: read them, or ask for fewer at once")
}

fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}
