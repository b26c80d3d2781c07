//! Limits on all requests together: how many are in progress, and how long each takes.
//!
//! A request over the limit is refused at once and never queued: a queue would only make every caller wait.

use std::time::Duration;

use api::error_code::ErrorCode;
use axum::response::{IntoResponse, Response};
use tokio::time::{sleep, timeout};

use crate::http::context::AppState;
use crate::http::problem::ProblemResponse;

/// How long requests in progress may go on after the server was told to stop. A query that PostgreSQL has not answered by then
/// may wait for a database that is down.
const GRACE_ON_STOP: Duration = Duration::from_millis(800);

/// The answer to a request over a limit.
pub(super) fn overloaded(detail: &str) -> ProblemResponse {
    ProblemResponse::new(ErrorCode::Overloaded, detail)
}

/// Lets a request pass if there is a permit, and ends it when its time is over.
pub(super) async fn limit_request(app: &AppState, answering: impl Future<Output = Response>) -> Response {
    let Ok(_permit) = app.requests().try_acquire() else {
        return overloaded("too many requests are being worked on").into_response();
    };
    let answered = timeout(app.limits().request_time, answering);
    let ended = tokio::select! {
        biased;
        ended = answered => ended,
        () = out_of_time(app) => {
            let detail = "this server is stopping; if it was a command, send it again with the same Idempotency-Key";
            return ProblemResponse::new(ErrorCode::Unavailable, detail).into_response();
        }
    };
    match ended {
        Ok(response) => response,
        Err(_) => {
            let detail = "the request took too long; if it was a command, send it again with the same Idempotency-Key";
            ProblemResponse::new(ErrorCode::TimedOut, detail).into_response()
        }
    }
}

async fn out_of_time(app: &AppState) {
    app.closing().cancelled().await;
    sleep(GRACE_ON_STOP).await;
}
