//! An operation: a method and a path with all that the OpenAPI document says of them, and the handler that answers.
//!
//! Parameters and answers, and the codes that belong to them, are taken from the type of the handler, so that the document can't say
//! anything else than the code does. A handler is `async fn(Asked<P>) -> Result<R, ProblemResponse>`. What is left for the catalogue to
//! say is the schema of a body, and the codes that the handler itself refuses with.

use std::future::Future;

use api::error_code::ErrorCode;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

use crate::http::auth::AuthenticatedState;
use crate::http::context::AppState;
use crate::http::fixed_answer;
use crate::http::params::{GivenParams, Parameter, RequestParameters};
use crate::http::problem::ProblemResponse;

/// A method and a path, and what is said of them.
pub(super) struct Operation {
    /// A name for generated clients.
    pub(super) id: &'static str,
    pub(super) method: Method,
    /// As axum writes it: `{*path}` stands for all that follows.
    pub(super) path: &'static str,
    /// One line.
    pub(super) summary: &'static str,
    /// Whether it needs a token.
    pub(super) needs_token: bool,
    pub(super) parameters: Vec<Parameter>,
    /// The schema of the body that it takes.
    pub(super) body: Option<fn(&mut SchemaGenerator) -> Schema>,
    pub(super) answers: fn(&mut SchemaGenerator) -> Vec<AnswerBody>,
    /// Whether a caller that has the answer already can be told so.
    pub(super) can_be_kept: bool,
    /// Whether it decides commands, so that it can answer with what they are refused for.
    pub(super) decides: bool,
    /// The server's own codes that it can answer with.
    pub(super) codes: Vec<ErrorCode>,
    /// The handler.
    pub(super) route: MethodRouter<AppState>,
}

/// A body that an operation can answer with.
pub(super) struct AnswerBody {
    pub(super) media_type: &'static str,
    pub(super) schema: Value,
}

/// A request as a handler gets it. `A` is the state of the server: [`AuthenticatedState`], or [`AppState`] where no token is needed.
pub(super) struct Asked<P, A = AuthenticatedState> {
    pub(super) app: A,
    pub(super) params: P,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

/// The state of the server that a handler gets.
pub(super) trait ServerState: FromRequestParts<AppState, Rejection = std::convert::Infallible> + Send {
    /// Whether it is there only for a caller with a token.
    const NEEDS_TOKEN: bool;
}

impl ServerState for AuthenticatedState {
    const NEEDS_TOKEN: bool = true;
}

impl ServerState for AppState {
    const NEEDS_TOKEN: bool = false;
}

/// What a handler answers with.
pub(super) trait AnswerType: IntoResponse {
    /// Whether it always has an entity tag.
    const HAS_TAG: bool = false;

    /// The bodies that it can have.
    fn bodies(generator: &mut SchemaGenerator) -> Vec<AnswerBody>;

    /// The codes that making the answer can end with.
    fn codes() -> Vec<ErrorCode> {
        Vec::new()
    }
}

/// What any operation can be refused with.
const CODES_ALWAYS: [ErrorCode; 6] = [
    ErrorCode::BadRequest,
    ErrorCode::Internal,
    ErrorCode::InvalidParameter,
    ErrorCode::MethodNotAllowed,
    ErrorCode::UnknownParameter,
    ErrorCode::UnknownRoute,
];
/// What an operation that needs a token can be refused with.
const CODES_WITH_TOKEN: [ErrorCode; 5] = [
    ErrorCode::InvalidToken,
    ErrorCode::MissingToken,
    ErrorCode::Overloaded,
    ErrorCode::TimedOut,
    ErrorCode::Unavailable,
];

impl<P: RequestParameters, A: ServerState> FromRequest<AppState> for Asked<P, A> {
    type Rejection = ProblemResponse;

    async fn from_request(request: Request, app: &AppState) -> Result<Self, ProblemResponse> {
        let (mut parts, body) = request.into_parts();
        let given = GivenParams::of(&mut parts).await?;
        given.check(&P::declared())?;
        let params = P::take(&given)?;
        let Ok(app) = A::from_request_parts(&mut parts, app).await;
        Ok(Self { app, params, headers: parts.headers, body })
    }
}

/// An operation that reads. `HEAD` is answered, too.
pub(super) fn get<P, A, R, H, F>(path: &'static str, id: &'static str, summary: &'static str, handler: H) -> Operation
where
    P: RequestParameters + 'static,
    A: ServerState + 'static,
    R: AnswerType,
    H: Fn(Asked<P, A>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<R, ProblemResponse>> + Send,
{
    operation(Method::GET, path, id, summary, handler)
}

/// An operation with a body: it changes something, or asks what does not fit into a URL.
pub(super) fn post<P, A, R, H, F>(path: &'static str, id: &'static str, summary: &'static str, handler: H) -> Operation
where
    P: RequestParameters + 'static,
    A: ServerState + 'static,
    R: AnswerType,
    H: Fn(Asked<P, A>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<R, ProblemResponse>> + Send,
{
    operation(Method::POST, path, id, summary, handler)
}

fn operation<P, A, R, H, F>(
    method: Method,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    handler: H,
) -> Operation
where
    P: RequestParameters + 'static,
    A: ServerState + 'static,
    R: AnswerType,
    H: Fn(Asked<P, A>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<R, ProblemResponse>> + Send,
{
    let answer = async move |asked: Asked<P, A>| -> Response {
        let condition = asked.params.is_fixed().then(|| asked.headers.clone());
        let response = handler(asked).await.into_response();
        match condition {
            Some(headers) => fixed_answer::conditional(response, &headers).await,
            None => response,
        }
    };
    let filter = MethodFilter::try_from(method.clone()).expect("BUG: an operation has a method that axum knows");
    let mut codes = [CODES_ALWAYS.to_vec(), P::codes(), R::codes()].concat();
    if A::NEEDS_TOKEN {
        codes.extend(CODES_WITH_TOKEN);
    }
    Operation {
        id,
        method,
        path,
        summary,
        needs_token: A::NEEDS_TOKEN,
        parameters: P::declared(),
        body: None,
        decides: false,
        answers: R::bodies,
        can_be_kept: P::CAN_BE_FIXED || R::HAS_TAG,
        codes,
        route: on(filter, answer),
    }
}

impl Operation {
    /// The same operation, which can also be refused with these codes.
    pub(super) fn may_answer(mut self, codes: impl IntoIterator<Item = ErrorCode>) -> Self {
        self.codes.extend(codes);
        self
    }

    /// The same operation, which decides commands.
    pub(super) fn decides_commands(self) -> Self {
        Self { decides: true, ..self }
    }

    /// The same operation, which takes a JSON body.
    pub(super) fn takes(self, body: fn(&mut SchemaGenerator) -> Schema) -> Self {
        Self { body: Some(body), ..self }
    }
}
