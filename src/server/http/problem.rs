//! Every error that the door answers with: a problem (RFC 9457) with a stable code.
//!
//! `type` is `about:blank`, so `title` repeats the status; what a program looks at is `code`, and `field` where one is
//! at fault. A code is part of the contract: never renamed, never reused. Codes of refused commands are those of
//! [`schema::invalid`] and [`projections::refusal`]; the door's own stand in [`CODES`].

use std::any::Any;

use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use projections::refusal::{Refused, Sort};
use schema::invalid::Invalid;
use serde::Serialize;

use crate::source::{DamagedError, EventReadError, PastError, SubmissionError, UnavailableError};

/// The media type of every error.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// The door's own codes.
pub(super) const CODES: &[&str] = &[
    "at_in_the_future",
    "bad_request",
    "body_timeout",
    "body_too_large",
    "clock_ahead",
    "content_gone",
    "damaged",
    "idempotency_key_reused",
    "incomplete_body",
    "internal",
    "invalid_idempotency_key",
    "invalid_parameter",
    "invalid_token",
    "method_not_allowed",
    "missing_token",
    "not_available_yet",
    "not_permitted",
    "not_published",
    "not_ready",
    "overloaded",
    "position_not_reached",
    "timed_out",
    "too_many_questions",
    "too_many_streams",
    "unavailable",
    "unknown_command",
    "unknown_entity",
    "unknown_file",
    "unknown_parameter",
    "unknown_route",
    "unsupported_content_encoding",
    "unsupported_media_type",
];

/// An error answer in the making.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    field: String,
    detail: String,
    retry_after_s: Option<u32>,
    challenge: Option<&'static str>,
}

impl Problem {
    /// A problem of the door's own.
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        debug_assert!(CODES.contains(&code), "BUG: {code} is not a published code");
        Self::coded(status, code, detail)
    }

    fn coded(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, field: String::new(), detail: detail.into(), retry_after_s: None, challenge: None }
    }

    /// A value of the URL or a header that says nothing valid.
    pub(super) fn parameter(name: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_parameter", detail).at(name)
    }

    /// There is no such thing.
    pub(super) fn unknown(kind: &str, id: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "unknown_entity", format!("there is no {kind}/{id}")).at("id")
    }

    /// The same problem, found in `field`.
    pub(super) fn at(self, field: impl Into<String>) -> Self {
        Self { field: field.into(), ..self }
    }

    /// The same problem, worth another try after some seconds.
    pub(super) fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }

    /// The same problem with what the door asks for (RFC 6750).
    pub(super) fn challenge(self, challenge: &'static str) -> Self {
        Self { challenge: Some(challenge), ..self }
    }
}

impl From<Invalid> for Problem {
    /// 400 for what can't be read at all, 422 for what was read and says nothing valid.
    fn from(invalid: Invalid) -> Self {
        let status = match invalid.code {
            "invalid_json" => StatusCode::BAD_REQUEST,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::coded(status, invalid.code, invalid.detail).at(invalid.field)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let status = match refused.refusal.sort() {
            Sort::NotFound => StatusCode::NOT_FOUND,
            Sort::Conflict => StatusCode::CONFLICT,
            Sort::TooLarge | Sort::Unfit => StatusCode::UNPROCESSABLE_ENTITY,
            Sort::Forbidden => StatusCode::FORBIDDEN,
        };
        Self::coded(status, refused.refusal.code(), refused.to_string()).at(refused.field())
    }
}

impl From<UnavailableError> for Problem {
    fn from(unavailable: UnavailableError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", unavailable.0).retry_after(1)
    }
}

impl From<DamagedError> for Problem {
    fn from(damaged: DamagedError) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "damaged", damaged.0)
    }
}

impl From<EventReadError> for Problem {
    fn from(error: EventReadError) -> Self {
        match error {
            EventReadError::Unavailable(unavailable) => unavailable.into(),
            EventReadError::Damaged(damaged) => damaged.into(),
        }
    }
}

impl From<SubmissionError> for Problem {
    fn from(error: SubmissionError) -> Self {
        let detail = error.to_string();
        match error {
            SubmissionError::Refused(refused) => refused.into(),
            SubmissionError::Unavailable(unavailable) => unavailable.into(),
            SubmissionError::KeyReused => {
                Self::new(StatusCode::CONFLICT, "idempotency_key_reused", detail).at("Idempotency-Key")
            }
            SubmissionError::ClockAhead(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "clock_ahead", detail).retry_after(5)
            }
            SubmissionError::Busy => Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail).retry_after(1),
        }
    }
}

impl From<PastError> for Problem {
    fn from(error: PastError) -> Self {
        let detail = error.to_string();
        match error {
            PastError::Future { .. } => Self::new(StatusCode::NOT_FOUND, "at_in_the_future", detail).at("at"),
            PastError::Unavailable(unavailable) => unavailable.into(),
            PastError::Damaged(damaged) => damaged.into(),
        }
    }
}

/// The body of a problem.
#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    code: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    field: &'a str,
    detail: &'a str,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        metrics::refused(self.code);
        let body = Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            code: self.code,
            field: &self.field,
            detail: &self.detail,
        };
        let body = serde_json::to_vec(&body).expect("BUG: a problem is text and a number");
        let mut response = (self.status, [(CONTENT_TYPE, PROBLEM_JSON)], body).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if let Some(challenge) = self.challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

/// What the framework refuses by itself (no such route, no such method, a path that is no UTF-8) becomes a problem too,
/// with the headers that it has set, such as `Allow`.
pub(super) async fn nothing_else(request: Request, next: Next) -> Response {
    let asked = format!("{} {}", request.method(), request.uri().path());
    let response = next.run(request).await;
    let said = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == PROBLEM_JSON);
    let status = response.status();
    if said || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let code = match status {
        StatusCode::NOT_FOUND => "unknown_route",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        _ if status.is_client_error() => "bad_request",
        _ => "internal",
    };
    let mut problem = Problem::new(status, code, format!("nothing is served at {asked}")).into_response();
    for (name, value) in response.headers() {
        if !problem.headers().contains_key(name) && name.as_str() != "content-length" {
            problem.headers_mut().insert(name, value.clone());
        }
    }
    problem
}

/// A panic is a bug of ours: the caller learns that much, the log the rest.
pub(super) fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
    tracing::error!(panic = text, "a request met a bug");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the request met a bug of Headwater").into_response()
}
