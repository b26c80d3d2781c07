//! `POST /v1/commands`: the commands of one request are decided and appended together or not at all.

use api::dry_run::DryRunAnswer;
use api::error_code::ErrorCode;
use api::media_type::JSON;
use axum::http::header::ETAG;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use program::tasks::run_blocking;
use projections::expectation::PlanCondition;
use schema::answer::Answer;
use schema::digest::Digest;
use schema::entity::Actor;
use schema::limit::IDEMPOTENCY_KEY_BYTES_MAX;
use schema::request::Request;
use schemars::SchemaGenerator;
use serde_json::{Value, json};

use crate::event_log::SubmitError;
use crate::http::answer::JsonAnswer;
use crate::http::auth::AuthenticatedState;
use crate::http::dry_run;
use crate::http::entity_tag::tag_of;
use crate::http::operation::{AnswerBody, AnswerType, Asked};
use crate::http::params::{DRY, GivenParams, Parameter, RequestParameters};
use crate::http::plan_condition::{PLAN, asked_plan, check_plannable, plan_condition};
use crate::http::problem::ProblemResponse;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static(api::header::IDEMPOTENCY_KEY);

/// Bodies from this size on are parsed on a blocking thread: a MiB of JSON takes about 5 ms.
const LARGE_BODY_BYTES: usize = 64 * 1024;

/// What a request of commands can be refused with before it is decided, or because it can't be appended.
pub(super) const CODES: [ErrorCode; 12] = [
    ErrorCode::BodyTimeout,
    ErrorCode::BodyTooLarge,
    ErrorCode::ClockAhead,
    ErrorCode::IdempotencyKeyReused,
    ErrorCode::IncompleteBody,
    ErrorCode::InvalidIdempotencyKey,
    ErrorCode::NotPermitted,
    ErrorCode::NotPlannable,
    ErrorCode::PlanChanged,
    ErrorCode::TooManyQuestions,
    ErrorCode::UnsupportedContentEncoding,
    ErrorCode::UnsupportedMediaType,
];

const KEY: Parameter = Parameter::header(
    "Idempotency-Key",
    "Under the same key of the same principal the same request is appended once, however often it is sent.",
    || json!({"type": "string", "pattern": "^[!-~]+$", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_BYTES_MAX}),
);

/// How commands are to be worked on.
pub(super) struct CommandOptions {
    dry_run: bool,
    key: Option<String>,
    plan: Option<Digest>,
}

impl RequestParameters for CommandOptions {
    fn declared() -> Vec<Parameter> {
        vec![DRY, KEY, PLAN]
    }

    fn take(given: &GivenParams) -> Result<Self, ProblemResponse> {
        let (dry_run, plan) = (given.flag(&DRY)?, asked_plan(given.headers())?);
        Ok(Self { dry_run, key: idempotency_key(given.headers())?, plan })
    }
}

/// The answer to commands.
pub(super) enum CommandAnswer {
    Appended(JsonAnswer<Answer>),
    /// With the plan of the request, which is the answer's entity tag.
    Decided(Option<Digest>, Box<JsonAnswer<DryRunAnswer>>),
}

impl IntoResponse for CommandAnswer {
    fn into_response(self) -> Response {
        match self {
            Self::Appended(answer) => answer.into_response(),
            Self::Decided(plan, answer) => {
                let mut response = answer.into_response();
                if let Some(tag) = plan.and_then(|plan| HeaderValue::from_str(&tag_of(plan)).ok()) {
                    response.headers_mut().insert(ETAG, tag);
                }
                response
            }
        }
    }
}

impl AnswerType for CommandAnswer {
    /// The answer to a dry run has the members of the other one and more.
    fn bodies(generator: &mut SchemaGenerator) -> Vec<AnswerBody> {
        let of: [Value; 2] =
            [generator.subschema_for::<Answer>().into(), generator.subschema_for::<DryRunAnswer>().into()];
        vec![AnswerBody { media_type: JSON, schema: json!({"anyOf": of}) }]
    }
}

pub(super) async fn post(asked: Asked<CommandOptions>) -> Result<CommandAnswer, ProblemResponse> {
    let Asked { app, params: CommandOptions { dry_run, key, plan }, headers, body } = asked;
    let received = app.read_body(&headers, body).await?;
    let mut request = parse(received.bytes.clone()).await?;
    app.resolve_contents(&mut request).await?;
    let actor = Actor::Principal(app.caller.name.clone());
    if dry_run {
        plan.map_or(Ok(()), |_| check_plannable(&request))?;
        let decided = decide(&app, actor, request, plan).await?;
        let (plan, position) = (decided.plan, decided.answer.position);
        return Ok(CommandAnswer::Decided(plan, Box::new(JsonAnswer::new(position, decided))));
    }
    let condition = match plan {
        Some(plan) => plan_condition(&app, &actor, &request, plan).await?,
        None => PlanCondition::None,
    };
    let appended = app.log().submit_planned(request, actor, key, condition).await?;
    Ok(CommandAnswer::Appended(JsonAnswer::new(appended.position, appended)))
}

/// The dry run of a request. With a plan it tells whether the request still comes out so.
async fn decide(
    app: &AuthenticatedState,
    actor: Actor,
    request: Request,
    plan: Option<Digest>,
) -> Result<DryRunAnswer, ProblemResponse> {
    let decided = dry_run::dry_run(app, app.log().view(), actor.clone(), request.clone()).await?;
    if plan.is_none() || plan == decided.plan {
        return Ok(decided);
    }
    // The plan may have been made by another server, from a state that this one has not reached yet.
    app.log().reached_head().await?;
    let decided = dry_run::dry_run(app, app.log().view(), actor, request).await?;
    if plan == decided.plan { Ok(decided) } else { Err(SubmitError::PlanChanged.into()) }
}

async fn parse(body: Bytes) -> Result<Request, ProblemResponse> {
    let request = match body.len() {
        LARGE_BODY_BYTES.. => run_blocking(move || Request::read(&body)).await,
        _ => Request::read(&body),
    };
    Ok(request?)
}

/// The key: one header of 1 to 255 visible ASCII characters, taken as it is.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ProblemResponse> {
    let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
    let (Some(key), more) = (given.next(), given.next()) else { return Ok(None) };
    let is_visible = key.as_bytes().iter().all(u8::is_ascii_graphic);
    match key.to_str() {
        Ok(text) if is_visible && more.is_none() && (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&text.len()) => {
            Ok(Some(text.to_string()))
        }
        _ => {
            let detail = format!("one key of 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters is possible");
            let problem = ProblemResponse::new(ErrorCode::InvalidIdempotencyKey, detail);
            Err(problem.in_field("Idempotency-Key"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_visible_ascii_and_only_one() {
        let read = |keys: &[&str]| {
            let mut headers = HeaderMap::new();
            for text in keys {
                headers.append(IDEMPOTENCY_KEY, HeaderValue::from_bytes(text.as_bytes()).expect("a header"));
            }
            idempotency_key(&headers)
        };
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["a-1~"]), Ok(Some("a-1~".to_string())));
        let longest = "k".repeat(IDEMPOTENCY_KEY_BYTES_MAX);
        assert_eq!(read(&[&longest]), Ok(Some(longest.clone())));
        let too_long = "k".repeat(IDEMPOTENCY_KEY_BYTES_MAX + 1);
        for refused in [&[""][..], &["a b"], &["ä"], &["a", "a"], &[&too_long]] {
            assert!(read(refused).is_err(), "{refused:?}");
        }
    }
}
