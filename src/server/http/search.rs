//! `GET /v1/search`: entities of all kinds whose ids begin with a text.

use std::borrow::Borrow;

use api::error_code::ErrorCode;
use api::search::{FOUND_DEFAULT, FOUND_MAX, FoundEntities, FoundEntity};
use projections::configuration::Configuration;
use schema::entity::Kind;
use schema::id::Id;
use schema::limit::ID_CHARS_MAX;
use serde_json::json;

use crate::http::answer::JsonAnswer;
use crate::http::operation::Asked;
use crate::http::params::{GivenParams, Parameter, RequestParameters, number};
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::PresentQuery;

const TEXT: Parameter = Parameter::query(
    "q",
    "What the ids begin with. Upper and lower case differ.",
    || json!({"type": "string", "minLength": 1, "maxLength": ID_CHARS_MAX}),
)
.required();
const FOUND_LIMIT: Parameter = Parameter::query(
    "limit",
    "How many entities the answer has at most.",
    || json!({"type": "integer", "minimum": 1, "maximum": FOUND_MAX, "default": FOUND_DEFAULT}),
);

/// `q` and `limit`.
pub(super) struct SearchQuery {
    text: String,
    limit: usize,
}

impl RequestParameters for SearchQuery {
    fn declared() -> Vec<Parameter> {
        vec![TEXT, FOUND_LIMIT]
    }

    fn codes() -> Vec<ErrorCode> {
        Vec::new()
    }

    fn take(given: &GivenParams) -> Result<Self, ProblemResponse> {
        let what = || format!("is a text of 1 to {ID_CHARS_MAX} characters");
        let text = given.query(&TEXT, |text| match text.chars().count() {
            1..=ID_CHARS_MAX => Ok(text.to_owned()),
            _ => Err(what()),
        })?;
        let limit = given.query(&FOUND_LIMIT, |text| match number(text).map(usize::try_from) {
            Ok(Ok(limit)) if (1..=FOUND_MAX).contains(&limit) => Ok(limit),
            _ => Err(format!("is a number from 1 to {FOUND_MAX}")),
        })?;
        let text = text.ok_or_else(|| ProblemResponse::invalid_parameter(TEXT.name, what()))?;
        Ok(Self { text, limit: limit.unwrap_or(FOUND_DEFAULT) })
    }
}

/// `GET /v1/search`
pub(super) async fn show(
    asked: Asked<(SearchQuery, PresentQuery)>,
) -> Result<JsonAnswer<FoundEntities>, ProblemResponse> {
    let Asked { app, params: (SearchQuery { text, limit }, reached), .. } = asked;
    let state = app.snapshot(reached).await?.configuration;
    // The beginning of an id is an id: no other text is the beginning of any.
    let lists = text.parse::<Id>().map(|start| (by_kind(&state, &start), start));
    let (items, more) = lists.map(|(lists, start)| in_turn(lists, &start, limit)).unwrap_or_default();
    Ok(JsonAnswer::new(state.position(), FoundEntities { position: state.position(), items, more }))
}

/// What is found of each kind, in the order of their ids: of none more than an answer can show, and one.
fn by_kind(state: &Configuration, start: &Id) -> Vec<Vec<FoundEntity>> {
    let (compliance, rollouts) = (state.compliance(), state.rollouts());
    let from = || start.clone()..;
    let mut of_rollouts = of_kind(Kind::Rollout, start, rollouts.open().range(from()));
    of_rollouts.extend(of_kind(Kind::Rollout, start, rollouts.ended().range(from())));
    of_rollouts.sort_by(|one, other| one.id.cmp(&other.id));
    vec![
        of_kind(Kind::Node, start, state.nodes().range(from())),
        of_kind(Kind::Document, start, state.documents().range(from())),
        of_kind(Kind::Bundle, start, state.bundles().all().range(from())),
        of_rollouts,
        of_kind(Kind::Mark, start, state.marks().range(from())),
        of_kind(Kind::Proposal, start, state.proposals().all().range(from())),
        of_kind(Kind::Control, start, compliance.controls().range(from())),
        of_kind(Kind::Component, start, compliance.components().range(from())),
        of_kind(Kind::Assessment, start, compliance.assessments().range(from())),
        of_kind(Kind::Attestation, start, compliance.attestations().range(from())),
        of_kind(Kind::Job, start, state.jobs().all().range(from())),
    ]
}

/// Those of rows of one kind, sorted by id, whose ids begin with a text.
fn of_kind<'a, K: Borrow<Id> + 'a, V>(
    kind: Kind,
    start: &Id,
    rows: impl Iterator<Item = (&'a K, V)>,
) -> Vec<FoundEntity> {
    let ids = rows.map(|(id, _)| id.borrow()).take_while(|id| id.as_str().starts_with(start.as_str()));
    ids.take(FOUND_MAX + 1).map(|id| FoundEntity { kind: kind.name().to_owned(), id: id.clone() }).collect()
}

/// The text itself before longer ids, and of these the kinds in turn, so that none hides another; and whether there are more.
fn in_turn(lists: Vec<Vec<FoundEntity>>, start: &Id, limit: usize) -> (Vec<FoundEntity>, bool) {
    let ranked = lists.into_iter().flat_map(|list| list.into_iter().enumerate());
    let mut ranked: Vec<(usize, FoundEntity)> = ranked.collect();
    ranked.sort_by_key(|(rank, found)| (found.id != *start, *rank));
    let more = ranked.len() > limit;
    (ranked.into_iter().take(limit).map(|(_, found)| found).collect(), more)
}
