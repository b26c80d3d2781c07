//! Errors as problem documents: which code, status, field and headers each gets.
//!
//! Codes of refused commands are those of [`schema::invalid`] and [`projections::refusal`]; the server's own are
//! [`ErrorCode`]s.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use api::error_code::ErrorCode;
use api::media_type::PROBLEM_JSON;
use api::problem::Problem;
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt as _;
use projections::refusal::RequestRefusal;
use projections::refusal_code::RefusalClass;
use schema::invalid::InputError;

use crate::event_log::{DamagedError, LogReadError, PastStateError, SubmitError, UnavailableError};

/// `Retry-After` where nothing better is known.
const RETRY_AFTER_S: u32 = 1;

/// An error answer: the problem document, and the headers that go with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProblemResponse {
    status: StatusCode,
    code: &'static str,
    field: String,
    detail: String,
    retry_after_s: Option<u32>,
    challenge: Option<&'static str>,
}

impl ProblemResponse {
    /// A problem with a code of the server's own, and that code's status.
    pub(super) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(code.status()).expect("BUG: the status of a code is one of HTTP");
        Self::with_status(status, code.as_str(), detail)
    }

    fn with_status(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, field: String::new(), detail: detail.into(), retry_after_s: None, challenge: None }
    }

    /// A parameter or header whose value can't be read.
    pub(super) fn invalid_parameter(name: &str, detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidParameter, detail).in_field(name)
    }

    /// There is no such entity.
    pub(super) fn unknown_entity(kind: &str, id: &str) -> Self {
        Self::new(ErrorCode::UnknownEntity, format!("there is no {kind}/{id}")).in_field("id")
    }

    /// The same problem, found in `field`.
    pub(super) fn in_field(self, field: impl Into<String>) -> Self {
        Self { field: field.into(), ..self }
    }

    /// What the problem was found in.
    pub(super) fn field(&self) -> &str {
        &self.field
    }

    /// The same problem, with what it is about before its detail.
    pub(super) fn about(self, what: &str) -> Self {
        Self { detail: format!("{what}: {}", self.detail), ..self }
    }

    /// The same problem, whose parameter this operation calls otherwise.
    pub(super) fn renamed(self, from: &str, to: &str) -> Self {
        if self.field == from { self.in_field(to) } else { self }
    }

    /// The same problem with `Retry-After`.
    pub(super) fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }

    /// The same problem with a challenge for a token (RFC 6750).
    pub(super) fn challenge(self, challenge: &'static str) -> Self {
        Self { challenge: Some(challenge), ..self }
    }
}

impl From<InputError> for ProblemResponse {
    /// 400 for what is no JSON at all, 422 for JSON that is no valid request.
    fn from(invalid: InputError) -> Self {
        Self::with_status(input_status(invalid.code), invalid.code, invalid.detail).in_field(invalid.field)
    }
}

/// The status of a body that was refused while being read.
pub(super) fn input_status(code: &str) -> StatusCode {
    match code {
        "invalid_json" => StatusCode::BAD_REQUEST,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

/// The status of a valid request that was refused.
pub(super) fn refusal_status(class: RefusalClass) -> StatusCode {
    match class {
        RefusalClass::NotFound => StatusCode::NOT_FOUND,
        RefusalClass::Conflict => StatusCode::CONFLICT,
        RefusalClass::TooLarge | RefusalClass::Unfit => StatusCode::UNPROCESSABLE_ENTITY,
        RefusalClass::Forbidden => StatusCode::FORBIDDEN,
        RefusalClass::Unplanned => StatusCode::PRECONDITION_REQUIRED,
    }
}

impl From<RequestRefusal> for ProblemResponse {
    fn from(refused: RequestRefusal) -> Self {
        let code = refused.refusal.code();
        Self::with_status(refusal_status(code.class()), code.as_str(), refused.to_string()).in_field(refused.field())
    }
}

impl From<UnavailableError> for ProblemResponse {
    fn from(error: UnavailableError) -> Self {
        Self::new(ErrorCode::Unavailable, error.0)
    }
}

impl From<DamagedError> for ProblemResponse {
    fn from(error: DamagedError) -> Self {
        Self::new(ErrorCode::Damaged, error.0)
    }
}

impl From<LogReadError> for ProblemResponse {
    fn from(error: LogReadError) -> Self {
        match error {
            LogReadError::Unavailable(unavailable) => unavailable.into(),
            LogReadError::Damaged(damaged) => damaged.into(),
        }
    }
}

impl From<SubmitError> for ProblemResponse {
    fn from(error: SubmitError) -> Self {
        let detail = error.to_string();
        match error {
            SubmitError::Refused(refused) => refused.into(),
            SubmitError::PlanChanged => Self::new(ErrorCode::PlanChanged, detail).in_field("If-Match"),
            SubmitError::KeyReused => {
                let detail = "this Idempotency-Key was used for another request";
                Self::new(ErrorCode::IdempotencyKeyReused, detail).in_field("Idempotency-Key")
            }
            SubmitError::ClockAhead(_) => Self::new(ErrorCode::ClockAhead, detail).retry_after(5),
            SubmitError::Busy => Self::new(ErrorCode::Overloaded, "too many commands are waiting"),
            SubmitError::Unstorable(_) | SubmitError::Unavailable(_) => Self::new(ErrorCode::Unavailable, detail),
        }
    }
}

impl From<PastStateError> for ProblemResponse {
    fn from(error: PastStateError) -> Self {
        let detail = error.to_string();
        match error {
            PastStateError::Future { .. } => Self::new(ErrorCode::AtInTheFuture, detail).in_field("at"),
            PastStateError::Unavailable(unavailable) => unavailable.into(),
            PastStateError::Damaged(damaged) => damaged.into(),
        }
    }
}

impl IntoResponse for ProblemResponse {
    fn into_response(self) -> Response {
        metrics::request_refused(self.code);
        let problem = Problem {
            type_uri: Problem::about_blank(),
            title: self.status.canonical_reason().unwrap_or_default().to_owned(),
            status: self.status.as_u16(),
            code: self.code.to_owned(),
            field: self.field,
            detail: self.detail,
        };
        let body = serde_json::to_vec(&problem).expect("BUG: a problem is text and a number");
        let mut response = (self.status, [(CONTENT_TYPE, PROBLEM_JSON)], body).into_response();
        let headers = response.headers_mut();
        let unavailable = (self.status == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_AFTER_S);
        if let Some(seconds) = self.retry_after_s.or(unavailable) {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if let Some(challenge) = self.challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

/// Turns errors that axum answers by itself (no such route, no such method, a path that is not UTF-8) into problems, and keeps
/// their headers, such as `Allow`. A handler that panicked is answered for, too.
pub(super) async fn convert_framework_errors(request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => return panic_response(&*panic),
    };
    let is_problem = response.headers().get(CONTENT_TYPE).is_some_and(|media_type| media_type == PROBLEM_JSON);
    let status = response.status();
    if is_problem || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let code = match status {
        StatusCode::NOT_FOUND => ErrorCode::UnknownRoute,
        StatusCode::METHOD_NOT_ALLOWED => ErrorCode::MethodNotAllowed,
        _ if status.is_client_error() => ErrorCode::BadRequest,
        _ => ErrorCode::Internal,
    };
    let detail = format!("nothing is served at {method} {}", uri.path());
    let mut problem = ProblemResponse::with_status(status, code.as_str(), detail).into_response();
    for (name, value) in response.headers() {
        if !problem.headers().contains_key(name) && name != CONTENT_LENGTH {
            problem.headers_mut().insert(name, value.clone());
        }
    }
    problem
}

/// The answer where a handler panicked: the caller learns that it met a bug, and the program's log what the panic said.
fn panic_response(panic: &(dyn Any + Send)) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
    tracing::error!(panic = text, "a request met a bug");
    ProblemResponse::new(ErrorCode::Internal, "the request met a bug of Headwater").into_response()
}
