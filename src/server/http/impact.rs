//! `GET /v1/impact/{command_id}`, or with the position of one of its events: what a request changed. The inverse of `why`.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use projections::configuration::Configuration;
use projections::fold::Touched;
use replay::impact::{Turn, impact};
use replay::log::{Divergence, Follower};
use schema::answer::Appended;
use schema::digest::Digest;
use schema::entity::Actor;
use schema::event::Event;
use schema::id::{CommandId, JobId, LogId, NodeId};
use schema::instant::Instant;
use schema::position::Position;
use serde::Serialize;

use crate::http::answer;
use crate::http::auth::Admitted;
use crate::http::params::{Params, number};
use crate::http::problem::Problem;
use crate::http::snapshot::When;
use crate::source::{At, DamagedError, PastError};

/// What a request changed.
#[derive(Serialize)]
struct View {
    command_id: CommandId,
    /// Its last event.
    position: Position,
    actor: Actor,
    at: Instant,
    reason: Option<String>,
    events: Vec<Appended>,
    /// The nodes that must hold something else than before.
    nodes: Vec<NodeTurn>,
    /// The nodes that it concerns and that hold what they held.
    unchanged: Vec<NodeId>,
    /// The jobs whose specs are other ones than before.
    jobs: Vec<JobTurn>,
}

/// A node's desired digest before and after; none where there is no record.
#[derive(Debug, Serialize)]
pub(super) struct NodeTurn {
    node: NodeId,
    before: Option<Digest>,
    after: Option<Digest>,
}

#[derive(Serialize)]
struct JobTurn {
    job: JobId,
    before: Option<Digest>,
    after: Option<Digest>,
}

impl From<Turn<NodeId>> for NodeTurn {
    fn from(Turn { id: node, before, after }: Turn<NodeId>) -> Self {
        Self { node, before, after }
    }
}

/// How a request is named: by its identity, or by the position of an event of it.
enum Named {
    Request(CommandId),
    Event(Position),
}

fn named(text: &str) -> Result<Named, Problem> {
    match (number(text), text.parse()) {
        (Ok(position), _) => Ok(Named::Event(position.into())),
        (_, Ok(command_id)) => Ok(Named::Request(command_id)),
        _ => Err(Problem::parameter("command_id", "is a request's UUID, as events show it, or an event's position")),
    }
}

fn unknown(detail: String) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "unknown_command", detail).at("command_id")
}

/// Shows it.
pub(super) async fn show(door: Admitted, Path(request): Path<String>, mut params: Params) -> Result<Response, Problem> {
    let when = When::take(&mut params)?;
    params.done()?;
    let named = named(&request)?;
    let seen = door.snapshot(when).await?.configuration.position();
    let command_id = match named {
        Named::Request(command_id) => command_id,
        Named::Event(position) => {
            let none = || {
                unknown(format!(
                    "there is no event at position {position}: the log, as it is asked about, ends at {seen}"
                ))
            };
            if position == Position::ZERO || position > seen {
                return Err(none());
            }
            let event = door.source().events_at(vec![position]).await?.into_iter().next();
            event.map(|event| event.command_id).ok_or_else(none)?
        }
    };
    let mut events = door.source().events_of(command_id).await?;
    events.retain(|event| event.position <= seen);
    let Some(first) = events.first() else {
        return Err(unknown(format!("the log has no event of request {command_id}: it changed nothing, or never was")));
    };
    // A request is told whole, so the one before it ends right before its first event.
    let before = Position::from(first.position.get().saturating_sub(1));
    let source = door.clone();
    let answered = door.costly(async move {
        let before = source.source().past(At::Position(before)).await?;
        let view = view(source.source().log_id(), before, events);
        view.map_err(|diverges| PastError::Damaged(DamagedError(format!("the log is not intact {diverges}"))))
    });
    let view = answered.await??;
    Ok(answer::json(seen, view))
}

fn view(log_id: LogId, before: Configuration, events: Vec<Event>) -> Result<View, Divergence> {
    let mut follower = Follower::glance(log_id, before.clone());
    let mut touched = Touched::new();
    for event in &events {
        touched.append(&mut follower.advance(event)?);
    }
    let found = impact(&before, follower.configuration(), &touched, &events);
    let last = events.last().expect("BUG: a request that is found has an event").clone();
    let job = |Turn { id: job, before, after }| JobTurn { job, before, after };
    Ok(View {
        command_id: last.command_id,
        position: last.position,
        actor: last.actor,
        at: last.at,
        reason: last.reason,
        events: events.into_iter().map(appended).collect(),
        nodes: found.nodes.into_iter().map(NodeTurn::from).collect(),
        unchanged: found.unchanged,
        jobs: found.jobs.into_iter().map(job).collect(),
    })
}

fn appended(event: Event) -> Appended {
    let Event { position, event_type, entity, version, .. } = event;
    Appended { position, event_type, entity, version }
}
