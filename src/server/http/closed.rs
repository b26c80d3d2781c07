//! A door that leads nowhere, because the log behind it is not what it was: it says so to everybody.
//!
//! Absent on purpose: any answer about the log. Who may ask stands in the log itself, and nobody is let in by part of it.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::get;
use tokio::sync::watch;

use crate::http::context::Reason;
use crate::http::health;
use crate::http::problem::{self, Problem};

/// After how many seconds it is worth to come again: a person has to act first.
const AGAIN_S: u32 = 10;

/// The door. `why` is what it says, by now.
pub fn router(why: watch::Receiver<String>) -> Router {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(ready))
        .fallback(refuse)
        .layer(from_fn(problem::nothing_else))
        .with_state(why)
}

async fn ready(State(why): State<watch::Receiver<String>>) -> Response {
    let reason = why.borrow().clone();
    health::told(&[Reason { part: "log".to_owned(), reason }], &[])
}

async fn refuse(State(why): State<watch::Receiver<String>>) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", why.borrow().clone()).retry_after(AGAIN_S)
}
