//! The routes of a server whose log is damaged: each answers 503 with the reason, without a token.
//!
//! Absent on purpose: any answer about the log. Its tokens are in the log itself, which can't be trusted.

use api::error_code::ErrorCode;
use api::health::HealthCondition;
use axum::Router;
use axum::extract::State;
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::get;
use tokio::sync::watch;

use crate::http::health;
use crate::http::problem::{self, ProblemResponse};

/// `Retry-After`: a person has to repair the log first.
const RETRY_AFTER_S: u32 = 10;

/// The routes. `reason` is what they answer by now.
pub fn router(reason: watch::Receiver<String>) -> Router {
    Router::new()
        .route("/healthz", get(async || health::liveness()))
        .route("/readyz", get(ready))
        .fallback(refuse)
        .layer(from_fn(problem::convert_framework_errors))
        .with_state(reason)
}

async fn ready(State(reason): State<watch::Receiver<String>>) -> Response {
    let reason = reason.borrow().clone();
    health::readiness_response(health::readiness(vec![HealthCondition { part: "log".to_owned(), reason }], Vec::new()))
}

async fn refuse(State(reason): State<watch::Receiver<String>>) -> ProblemResponse {
    ProblemResponse::new(ErrorCode::Unavailable, reason.borrow().clone()).retry_after(RETRY_AFTER_S)
}
