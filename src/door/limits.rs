//! A limit on everything that a caller can make the door spend: time, requests at once, bytes at once, live streams.
//!
//! What is over a limit is refused at once and never queued: whoever waits here would wait for nothing.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::fittings::Door;
use super::problem::Problem;

/// The limits of a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests that are worked on at once.
    pub requests: usize,
    /// Live streams at once.
    pub streams: usize,
    /// Kibibytes of bodies that are held at once.
    pub bodies_kib: usize,
    /// How long a request may take. Live streams take as long as they like.
    pub request_time: Duration,
    /// How long its body may take to come in.
    pub body_time: Duration,
    /// How long `min_position` waits.
    pub position_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: 1_024,
            streams: 1_000,
            bodies_kib: 256 * 1_024,
            request_time: Duration::from_secs(30),
            body_time: Duration::from_secs(20),
            position_wait: Duration::from_secs(5),
        }
    }
}

/// The answer to one request too many.
pub(super) fn overloaded(detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail).retry_after(1)
}

/// Lets a request pass if there is room, and ends it when its time is over.
pub(super) async fn keep(State(door): State<Door>, request: Request, next: Next) -> Response {
    let Ok(_place) = door.requests().try_acquire() else {
        return overloaded("too many requests are being worked on").into_response();
    };
    match timeout(door.limits().request_time, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = "the request took too long; if it was a command, send it again with the same Idempotency-Key";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timed_out", detail).retry_after(1).into_response()
        }
    }
}
