//! Liveness and readiness.

use api::error_code::ErrorCode;
use api::health::{HealthCondition, Liveness, Readiness};
use api::media_type::{JSON, PROBLEM_JSON};
use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use schemars::SchemaGenerator;
use serde_json::{Value, json};

use crate::http::context::AppState;
use crate::http::operation::{AnswerBody, AnswerType, Asked};
use crate::http::problem::ProblemResponse;

/// Seconds after which a server that is not ready is worth asking again.
const RETRY_AFTER_S: u32 = 1;

/// The answer of a health route: it has no position, because it is about this server and not about the log.
pub(super) struct HealthAnswer<T>(T);

impl IntoResponse for HealthAnswer<Liveness> {
    fn into_response(self) -> Response {
        Json(self.0).into_response()
    }
}

impl AnswerType for HealthAnswer<Liveness> {
    fn bodies(generator: &mut SchemaGenerator) -> Vec<AnswerBody> {
        vec![AnswerBody { media_type: JSON, schema: generator.subschema_for::<Liveness>().into() }]
    }
}

impl IntoResponse for HealthAnswer<Readiness> {
    fn into_response(self) -> Response {
        readiness_response(self.0)
    }
}

impl AnswerType for HealthAnswer<Readiness> {
    fn bodies(generator: &mut SchemaGenerator) -> Vec<AnswerBody> {
        vec![AnswerBody { media_type: JSON, schema: generator.subschema_for::<Readiness>().into() }]
    }

    fn codes() -> Vec<ErrorCode> {
        vec![ErrorCode::NotReady]
    }
}

/// `GET /healthz`: the process answers.
pub(super) async fn alive(_: Asked<(), AppState>) -> Result<HealthAnswer<Liveness>, ProblemResponse> {
    Ok(liveness())
}

/// That the process answers.
pub(super) fn liveness() -> HealthAnswer<Liveness> {
    HealthAnswer(Liveness { status: "ok".to_owned() })
}

/// `GET /readyz`: whether the server can do its work, and if not, which part keeps it from that.
pub(super) async fn ready(asked: Asked<(), AppState>) -> Result<HealthAnswer<Readiness>, ProblemResponse> {
    Ok(HealthAnswer(readiness(asked.app.readiness(), asked.app.warnings())))
}

/// The readiness of a server, from what keeps it from its work and what an operator should know.
pub(super) fn readiness(reasons: Vec<HealthCondition>, warnings: Vec<HealthCondition>) -> Readiness {
    Readiness { ready: reasons.is_empty(), reasons, warnings }
}

/// The answer. If the server is not ready, it is a problem document that also has the members of the good answer.
pub(super) fn readiness_response(readiness: Readiness) -> Response {
    if readiness.ready {
        return Json(readiness).into_response();
    }
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let sentence = |reason: &HealthCondition| format!("{}: {}", reason.part, reason.reason);
    let sentences: Vec<String> = readiness.reasons.iter().map(sentence).collect();
    let mut problem = json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "code": ErrorCode::NotReady.as_str(),
        "detail": sentences.join("; "),
    });
    if let (Some(members), Value::Object(readiness)) = (problem.as_object_mut(), json!(readiness)) {
        members.extend(readiness);
    }
    let headers = [(CONTENT_TYPE, PROBLEM_JSON.to_owned()), (RETRY_AFTER, RETRY_AFTER_S.to_string())];
    (status, headers, problem.to_string()).into_response()
}
