//! The plan that a request comes with, in `If-Match`: the request is appended only if it comes out as the plan says.
//!
//! Rendering a fleet takes long, and the log must not wait for it. So the outcome is made here, at the newest state that this server knows. At
//! the head only those nodes are rendered again which something concerned since.

use std::sync::Arc;

use api::error_code::ErrorCode;
use axum::http::HeaderMap;
use axum::http::header::IF_MATCH;
use projections::expectation::{Expectation, PlanCondition};
use projections::request::may_send;
use schema::digest::Digest;
use schema::entity::Actor;
use schema::request::Request;
use serde_json::{Value, json};

use crate::http::auth::AuthenticatedState;
use crate::http::dry_run::{is_plannable, preview};
use crate::http::params::Parameter;
use crate::http::problem::ProblemResponse;

/// `If-Match` of a request.
pub(super) const PLAN: Parameter = Parameter::header(
    "If-Match",
    "The plan that a dry run answered, in quotes or without: the request is appended only if it comes out exactly so.",
    plan_schema,
);

fn plan_schema() -> Value {
    json!({"type": "string", "pattern": "^(\"[0-9a-f]{64}\"|[0-9a-f]{64})$"})
}

/// Reads `If-Match`: one plan, in quotes as an entity tag has them, or without, as the body of a dry run's answer has it.
pub(super) fn asked_plan(headers: &HeaderMap) -> Result<Option<Digest>, ProblemResponse> {
    let mut given = headers.get_all(IF_MATCH).iter();
    let (Some(plan), more) = (given.next(), given.next()) else { return Ok(None) };
    let text = plan.to_str().unwrap_or_default();
    let unquoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    match (unquoted.parse(), more) {
        (Ok(digest), None) => Ok(Some(digest)),
        _ => Err(ProblemResponse::invalid_parameter(PLAN.name, "is one plan of a dry run: 64 hex digits")),
    }
}

/// Refuses a plan of a request that has none.
pub(super) fn check_plannable(request: &Request) -> Result<(), ProblemResponse> {
    if is_plannable(request) {
        return Ok(());
    }
    let detail = "the tokens of claims are drawn at random: send the commands without `If-Match`";
    Err(ProblemResponse::new(ErrorCode::NotPlannable, detail).in_field(PLAN.name))
}

/// The condition under which a request with a plan is appended.
pub(super) async fn plan_condition(
    app: &AuthenticatedState,
    actor: &Actor,
    request: &Request,
    asked: Digest,
) -> Result<PlanCondition, ProblemResponse> {
    check_plannable(request)?;
    // Who may not send it is told so at the head, and nothing is rendered for that.
    if !may_send(&app.log().view(), actor, request) {
        return Ok(PlanCondition::Changed);
    }
    let expected = expectation(app, actor, request, asked).await?;
    if let Some(expected) = expected {
        return Ok(PlanCondition::Expected(Arc::new(expected)));
    }
    // The plan may have been made by another server, from a state that this one has not reached yet.
    app.log().reached_head().await?;
    let expected = expectation(app, actor, request, asked).await?;
    Ok(expected.map_or(PlanCondition::Changed, |expected| PlanCondition::Expected(Arc::new(expected))))
}

/// What is to be expected of the request if it comes out as planned at the newest state.
async fn expectation(
    app: &AuthenticatedState,
    actor: &Actor,
    request: &Request,
    asked: Digest,
) -> Result<Option<Expectation>, ProblemResponse> {
    let (before, log_id, actor, request) = (app.log().view(), app.log().log_id(), actor.clone(), request.clone());
    app.run_expensive(async move {
        let decided = preview(&before, log_id, actor, &request).ok()?;
        let expected = Expectation::of(&before, &decided);
        (expected.kept().plan == asked).then_some(expected)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn a_plan_is_64_hex_digits_and_only_one() {
        let read = |texts: &[&str]| {
            let mut headers = HeaderMap::new();
            for text in texts {
                headers.append(IF_MATCH, HeaderValue::from_str(text).expect("a header"));
            }
            asked_plan(&headers)
        };
        let (digest, quoted) = (Digest::of(b"plan"), format!("\"{}\"", Digest::of(b"plan")));
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[&quoted]), Ok(Some(digest)));
        assert_eq!(read(&[&digest.to_string()]), Ok(Some(digest)));
        for refused in
            [&["*"][..], &[""], &["\"\""], &[&format!("{digest}\"")], &[&format!("W/{quoted}")], &[&quoted, &quoted]]
        {
            assert!(read(refused).is_err(), "{refused:?}");
        }
    }
}
