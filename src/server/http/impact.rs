//! `GET /v1/impact/{command_id}`, or with the position of one of its events: what a request changed. The inverse of `why`.

use api::error_code::ErrorCode;
use axum::extract::Path;
use axum::response::Response;
use projections::configuration::Configuration;
use projections::fold::AffectedNodes;
use replay::impact::{DigestChange, impact};
use replay::log::{DivergenceError, Follower};
use schema::answer::AppendedEvent;
use schema::digest::Digest;
use schema::entity::Actor;
use schema::event::Event;
use schema::id::{CommandId, JobId, LogId, NodeId};
use schema::instant::Instant;
use schema::position::Position;
use serde::Serialize;

use crate::event_log::{AsOf, DamagedError, PastStateError};
use crate::http::answer;
use crate::http::auth::AuthenticatedState;
use crate::http::params::{QueryParams, number};
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::SnapshotQuery;

/// What a request changed.
#[derive(Serialize)]
struct ImpactView {
    command_id: CommandId,
    /// The request's last event.
    position: Position,
    actor: Actor,
    at: Instant,
    reason: Option<String>,
    events: Vec<AppendedEvent>,
    /// The nodes whose desired records changed.
    nodes: Vec<NodeChange>,
    /// The nodes that the request concerns and whose desired records are the same as before.
    unchanged: Vec<NodeId>,
    /// The jobs whose specs changed.
    jobs: Vec<JobChange>,
}

/// The digest of a node's desired record before and after; none where there is no record.
#[derive(Debug, Serialize)]
pub(super) struct NodeChange {
    node: NodeId,
    before: Option<Digest>,
    after: Option<Digest>,
}

#[derive(Serialize)]
struct JobChange {
    job: JobId,
    before: Option<Digest>,
    after: Option<Digest>,
}

impl From<DigestChange<NodeId>> for NodeChange {
    fn from(DigestChange { id: node, before, after }: DigestChange<NodeId>) -> Self {
        Self { node, before, after }
    }
}

/// How the URL names a request: by its id, or by the position of one of its events.
enum RequestRef {
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

fn unknown_command(detail: String) -> ProblemResponse {
    ProblemResponse::new(ErrorCode::UnknownCommand, detail).in_field("command_id")
}

/// `GET /v1/impact/{command_id}`
pub(super) async fn show(
    app: AuthenticatedState,
    Path(request): Path<String>,
    mut params: QueryParams,
) -> Result<Response, ProblemResponse> {
    let query = SnapshotQuery::from_params(&mut params)?;
    params.done()?;
    let request = parse_request_ref(&request)?;
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
    Ok(answer::json(seen, view))
}

fn view(log_id: LogId, before: Configuration, events: Vec<Event>) -> Result<ImpactView, DivergenceError> {
    let mut follower = Follower::without_tree(log_id, before.clone());
    let mut touched = AffectedNodes::new();
    for event in &events {
        touched.append(&mut follower.advance(event)?);
    }
    let found = impact(&before, follower.configuration(), &touched, &events);
    let last = events.last().expect("BUG: a request that is found has an event").clone();
    let job = |DigestChange { id: job, before, after }| JobChange { job, before, after };
    Ok(ImpactView {
        command_id: last.command_id,
        position: last.position,
        actor: last.actor,
        at: last.at,
        reason: last.reason,
        events: events.into_iter().map(appended).collect(),
        nodes: found.nodes.into_iter().map(NodeChange::from).collect(),
        unchanged: found.unchanged,
        jobs: found.jobs.into_iter().map(job).collect(),
    })
}

fn appended(event: Event) -> AppendedEvent {
    let Event { position, event_type, entity, version, .. } = event;
    AppendedEvent { position, event_type, entity, version }
}
