//! Liveness and readiness.

use api::error_code::ErrorCode;
use api::media_type::PROBLEM_JSON;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::http::context::{AppState, HealthCondition};

/// `GET /healthz`: the process answers.
pub(super) async fn alive() -> Response {
    Json(json!({"status": "ok"})).into_response()
}

/// `GET /readyz`: whether the server can do its work, and if not, which part keeps it from that.
pub(super) async fn ready(State(app): State<AppState>) -> Response {
    readiness_response(&app.readiness(), &app.warnings())
}

/// The answer. If the server is not ready, it is a problem document that also has the members of the good answer. `warnings` is
/// there only if there are any.
pub(super) fn readiness_response(reasons: &[HealthCondition], warnings: &[HealthCondition]) -> Response {
    if reasons.is_empty() {
        return Json(with_warnings(warnings, json!({"ready": true, "reasons": []}))).into_response();
    }
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let sentences: Vec<String> = reasons.iter().map(|reason| format!("{}: {}", reason.part, reason.reason)).collect();
    let problem = json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "code": ErrorCode::NotReady.as_str(),
        "detail": sentences.join("; "),
        "ready": false,
        "reasons": reasons,
    });
    (status, [(CONTENT_TYPE, PROBLEM_JSON)], with_warnings(warnings, problem).to_string()).into_response()
}

fn with_warnings(warnings: &[HealthCondition], mut answer: Value) -> Value {
    if !warnings.is_empty() {
        answer["warnings"] = json!(warnings);
    }
    answer
}
