//! Keeps what a caller can make the door spend within its limits: time, requests at once, bytes at once, live streams.
//!
//! What is over a limit is refused at once and never queued: whoever waits here would wait for nothing.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::{sleep, timeout};

use crate::http::context::Door;
use crate::http::problem::Problem;

/// How long requests that are being worked on may go on once the door was told to close. What PostgreSQL has not answered by
/// then may take until somebody mends it.
const ENDING_WITHIN: Duration = Duration::from_millis(800);

/// The answer to one request too many.
pub(super) fn overloaded(detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail).retry_after(1)
}

/// Lets a request pass if there is room, and ends it when its time is over.
pub(super) async fn keep(State(door): State<Door>, request: Request, next: Next) -> Response {
    let Ok(_place) = door.requests().try_acquire() else {
        return overloaded("too many requests are being worked on").into_response();
    };
    let worked_on = timeout(door.limits().request_time, next.run(request));
    let ended = tokio::select! {
        biased;
        ended = worked_on => ended,
        () = out_of_time(&door) => {
            let detail = "this server is stopping; if it was a command, send it again with the same Idempotency-Key";
            return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry_after(1).into_response();
        }
    };
    match ended {
        Ok(response) => response,
        Err(_) => {
            let detail = "the request took too long; if it was a command, send it again with the same Idempotency-Key";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timed_out", detail).retry_after(1).into_response()
        }
    }
}

async fn out_of_time(door: &Door) {
    door.closing().cancelled().await;
    sleep(ENDING_WITHIN).await;
}
