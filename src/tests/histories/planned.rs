//! Requests that come with the plan that a dry run would show.

use std::sync::Arc;

use projections::configuration::Configuration;
use projections::expectation::{ConditionalRefusal, Expectation, PlanCondition, decide_on_condition};
use projections::outcome::plan;
use projections::refusal::RequestRefusal;
use projections::request::{self, Decision, DecisionWithState, RequestContext, preview_request};
use schema::bundle::PlanKept;
use schema::plan::RequestPlan;
use schema::request::Request;

/// What is expected of a request that is planned at this state.
pub fn expectation(
    state: &Configuration,
    envelope: &RequestContext,
    request: &Request,
) -> Result<Expectation, RequestRefusal> {
    Ok(Expectation::of(state, &preview_request(state, envelope, request)?))
}

/// Decides a request that was planned at a state of before.
pub fn decide_expected(
    state: &Configuration,
    envelope: &RequestContext,
    request: &Request,
    expected: &Expectation,
) -> Result<DecisionWithState, ConditionalRefusal> {
    let mut configuration = state.clone();
    let condition = PlanCondition::Expected(Arc::new(expected.clone()));
    let Decision { events, affected, answer } = decide_on_condition(&mut configuration, envelope, request, &condition)?;
    Ok(DecisionWithState { configuration, events, affected, answer })
}

/// Plans a request and decides it right away.
pub fn decide_planned(
    state: &Configuration,
    envelope: &RequestContext,
    request: &Request,
) -> Result<DecisionWithState, ConditionalRefusal> {
    let expected = expectation(state, envelope, request).map_err(ConditionalRefusal::Refused)?;
    decide_expected(state, envelope, request, &expected)
}

/// Plans a request and decides it right away, as programs did before a plan had a format for the rollouts that it starts.
pub fn decide_planned_without_rollouts(
    state: &Configuration,
    envelope: &RequestContext,
    request: &Request,
) -> Result<DecisionWithState, RequestRefusal> {
    let DecisionWithState { configuration, events, affected, .. } = preview_request(state, envelope, request)?;
    let shown = RequestPlan { rollouts: Vec::new(), ..plan(state, &configuration, &affected, &events) };
    let kept = PlanKept { plan: shown.digest(), base: state.plan_base() };
    let mut configuration = state.clone();
    let Decision { events, affected, answer } = request::decide_planned(&mut configuration, envelope, request, kept)?;
    Ok(DecisionWithState { configuration, events, affected, answer })
}
