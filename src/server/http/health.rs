//! Whether the door is there, and whether what it leads to is.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::http::context::{Door, Reason};
use crate::http::problem::PROBLEM_JSON;

/// `GET /healthz`: the process lives.
pub(super) async fn alive() -> Response {
    Json(json!({"status": "ok"})).into_response()
}

/// `GET /readyz`: what the door leads to is there; else which part is not.
pub(super) async fn ready(State(door): State<Door>) -> Response {
    told(&door.readiness(), &door.warnings())
}

/// Whether anything is not ready. The refusal is a problem that has the members of the good answer besides its own. `warnings` are
/// there where there are any: what is wrong although the server does its work.
pub(super) fn told(reasons: &[Reason], warnings: &[Reason]) -> Response {
    if reasons.is_empty() {
        return Json(with(warnings, json!({"ready": true, "reasons": []}))).into_response();
    }
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let sentences: Vec<String> = reasons.iter().map(|reason| format!("{}: {}", reason.part, reason.reason)).collect();
    let problem = json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "code": "not_ready",
        "detail": sentences.join("; "),
        "ready": false,
        "reasons": reasons,
    });
    (status, [(CONTENT_TYPE, PROBLEM_JSON)], with(warnings, problem).to_string()).into_response()
}

/// An answer with its warnings, if there are any.
fn with(warnings: &[Reason], mut answer: Value) -> Value {
    if !warnings.is_empty() {
        answer["warnings"] = json!(warnings);
    }
    answer
}
