//! `GET /v1/impact/{command_id}`, or with the position of one of its events: what a request changed. The inverse of `why`.

use api::error_code::ErrorCode;
use api::impact::{ImpactView, JobChange, NodeChange};
use projections::configuration::Configuration;
use projections::fold::AffectedNodes;
use projections::outcome::{RecordChange, outcome};
use replay::log::{DivergenceError, Follower};
use schema::answer::AppendedEvent;
use schema::event::Event;
use schema::id::{CommandId, LogId};
use schema::plan::PlannedJob;
use schema::position::Position;
use serde_json::json;

use crate::event_log::{AsOf, DamagedError, PastStateError};
use crate::http::answer::JsonAnswer;
use crate::http::operation::Asked;
use crate::http::params::{GivenParams, Parameter, RequestParameters, number, position_schema};
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::SnapshotQuery;

const REQUEST: Parameter = Parameter::path(
    "command_id",
    "The request's id, as its answer and its events have it, or the position of any of its events.",
    || json!({"oneOf": [{"type": "string", "format": "uuid"}, position_schema()]}),
);

/// The change of a node as it is shown.
pub(super) fn node_change(RecordChange { node, before, after }: RecordChange) -> NodeChange {
    NodeChange { node, before, after }
}

/// The change of a job as it is shown.
pub(super) fn job_change(PlannedJob { job, before, after }: PlannedJob) -> JobChange {
    JobChange { job, before, after }
}

/// How the URL names a request: by its id, or by the position of one of its events.
pub(super) enum RequestRef {
    Id(CommandId),
    EventPosition(Position),
}

fn parse_request_ref(text: &str) -> Result<RequestRef, ProblemResponse> {
    match (number(text), text.parse()) {
        (Ok(position), _) => Ok(RequestRef::EventPosition(position.into())),
        (_, Ok(command_id)) => Ok(RequestRef::Id(command_id)),
        _ => Err(ProblemResponse::invalid_parameter(
            "command_id",
            "is a request's UUID, as events show it, or an event's position",
        )),
    }
}

impl RequestParameters for RequestRef {
    fn declared() -> Vec<Parameter> {
        vec![REQUEST]
    }

    fn codes() -> Vec<ErrorCode> {
        vec![ErrorCode::UnknownCommand, ErrorCode::Damaged, ErrorCode::TooManyQuestions]
    }

    fn take(given: &GivenParams) -> Result<Self, ProblemResponse> {
        parse_request_ref(given.path(&REQUEST))
    }
}

fn unknown_command(detail: String) -> ProblemResponse {
    ProblemResponse::new(ErrorCode::UnknownCommand, detail).in_field("command_id")
}

/// `GET /v1/impact/{command_id}`
pub(super) async fn show(asked: Asked<(RequestRef, SnapshotQuery)>) -> Result<JsonAnswer<ImpactView>, ProblemResponse> {
    let Asked { app, params: (request, query), .. } = asked;
    let seen = app.snapshot(query).await?.configuration.position();
    let command_id = match request {
        RequestRef::Id(command_id) => command_id,
        RequestRef::EventPosition(position) => {
            let none = || {
                unknown_command(format!(
                    "there is no event at position {position}: the log, as it is asked about, ends at {seen}"
                ))
            };
            if position == Position::ZERO || position > seen {
                return Err(none());
            }
            let event = app.log().events_at(vec![position]).await?.into_iter().next();
            event.map(|event| event.command_id).ok_or_else(none)?
        }
    };
    let mut events = app.log().events_of(command_id).await?;
    events.retain(|event| event.position <= seen);
    let Some(first) = events.first() else {
        return Err(unknown_command(format!(
            "the log has no event of request {command_id}: it changed nothing, or never was"
        )));
    };
    // Requests follow each other without a gap, so the one before ends right before the first event of this one.
    let before = first.position.previous();
    let state = app.clone();
    let computed = app.run_expensive(async move {
        let before = state.log().past(AsOf::Position(before)).await?;
        let view = view(state.log().log_id(), before, events);
        view.map_err(|diverges| PastStateError::Damaged(DamagedError(format!("the log is not intact {diverges}"))))
    });
    let view = computed.await??;
    Ok(JsonAnswer::new(seen, view))
}

fn view(log_id: LogId, before: Configuration, events: Vec<Event>) -> Result<ImpactView, DivergenceError> {
    let mut follower = Follower::without_tree(log_id, before.clone());
    let mut affected = AffectedNodes::new();
    for event in &events {
        affected.extend(follower.advance(event)?);
    }
    let found = outcome(&before, follower.configuration(), &affected, &events);
    let (changed, unchanged): (Vec<_>, Vec<_>) = found.records.into_iter().partition(RecordChange::is_change);
    let last = events.last().expect("BUG: a request that is found has an event").clone();
    Ok(ImpactView {
        command_id: last.command_id,
        position: last.position,
        actor: last.actor,
        at: last.at,
        reason: last.reason,
        events: events.into_iter().map(appended).collect(),
        nodes: changed.into_iter().map(node_change).collect(),
        unchanged: unchanged.into_iter().map(|record| record.node).collect(),
        jobs: found.plan.jobs.into_iter().map(job_change).collect(),
    })
}

fn appended(event: Event) -> AppendedEvent {
    let Event { position, event_type, entity, version, .. } = event;
    AppendedEvent { position, event_type, entity, version }
}
