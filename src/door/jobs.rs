//! Jobs: what is to be run, who has it, and why it is what it is. The proof of a claim is its holder's and not shown.

use axum::extract::{Path, State};
use axum::response::Response;
use projections::configuration::Configuration;
use projections::jobs::{Completed, Job};
use schema::desired::Source;
use schema::digest::Digest;
use schema::entity::{Actor, Entity};
use schema::event::Event;
use schema::id::{AttestationId, CommandId, EventId, JobId, NodeId};
use schema::instant::Instant;
use schema::position::{Position, Version};
use serde::Serialize;
use serde_json::Value;

use super::answer;
use super::blocking::apart;
use super::documents::read;
use super::paging::Page;
use super::params::Params;
use super::problem::Problem;
use super::router::Door;
use super::snapshot::When;
use super::source::EventPage;

/// A job as a list shows it.
#[derive(Serialize)]
struct View {
    id: JobId,
    attestation: AttestationId,
    spec_digest: Digest,
    /// Who has it; none while it waits.
    claim: Option<ClaimView>,
    /// Since when nobody has it; none while somebody has.
    waiting_since: Option<Position>,
    /// What its last run came to.
    completed: Option<CompletedView>,
}

/// A job with all that is known of it.
#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    view: View,
    spec: Value,
    /// The change that made the spec what it is.
    cause: Option<CauseView>,
    /// All that the spec is rendered from.
    sources: Vec<Source>,
}

#[derive(Serialize)]
struct ClaimView {
    runtime: NodeId,
    position: Position,
    lease_s: u32,
}

#[derive(Serialize)]
struct CompletedView {
    runtime: NodeId,
    outcome: String,
    spec_digest: Digest,
    position: Position,
    at: Instant,
}

/// An event as a cause: who, when and why.
#[derive(Serialize)]
struct CauseView {
    position: Position,
    event_id: EventId,
    command_id: CommandId,
    entity: Entity,
    version: Version,
    #[serde(rename = "type")]
    event_type: String,
    actor: Actor,
    at: Instant,
    reason: Option<String>,
}

impl View {
    fn of(state: &Configuration, id: &JobId, job: &Job) -> Self {
        let claim = job.claim.as_ref().map(|claim| ClaimView {
            runtime: claim.runtime.clone(),
            position: claim.position,
            lease_s: claim.lease_s,
        });
        Self {
            id: id.clone(),
            attestation: job.attestation.clone(),
            spec_digest: state.spec(id).expect("BUG: a job of the state has a spec").digest,
            waiting_since: claim.is_none().then_some(job.since),
            claim,
            completed: job.completed.as_deref().map(CompletedView::from),
        }
    }
}

impl From<&Completed> for CompletedView {
    fn from(completed: &Completed) -> Self {
        let Completed { runtime, spec_digest, outcome, position, at } = completed.clone();
        Self { runtime, outcome, spec_digest, position, at }
    }
}

impl From<Event> for CauseView {
    fn from(event: Event) -> Self {
        let Event { position, event_id, command_id, entity, version, event_type, actor, at, reason, .. } = event;
        Self { position, event_id, command_id, entity, version, event_type, actor, at, reason }
    }
}

/// `GET /v1/jobs`
pub(super) async fn list(State(door): State<Door>, mut params: Params) -> Result<Response, Problem> {
    let page = Page::take(&mut params)?;
    let when = When::take(&mut params)?;
    params.done()?;
    let state = door.snapshot(when).await?.configuration;
    let position = state.position();
    // Digests are of rendered specs, and a page may be the first to ask for a thousand of them.
    let listing =
        apart(move || page.list(state.jobs().all().range(page.keys::<JobId>()), |id, job| View::of(&state, id, job)));
    Ok(answer::json(position, listing.await))
}

/// `GET /v1/jobs/{id}`
pub(super) async fn one(
    State(door): State<Door>,
    Path(id): Path<String>,
    mut params: Params,
) -> Result<Response, Problem> {
    let when = When::take(&mut params)?;
    params.done()?;
    let id: JobId = read(&id)?;
    let state = door.snapshot(when).await?.configuration;
    let Some(job) = state.jobs().all().get(&id) else {
        return Err(Problem::unknown("job", id.as_str()));
    };
    let spec = state.spec(&id).expect("BUG: a job of the state has a spec");
    let whole = Whole {
        view: View::of(&state, &id, job),
        spec: serde_json::from_slice(&spec.bytes).expect("BUG: a spec is JSON"),
        cause: cause(&door, job.cause.position).await?,
        sources: state.spec_sources(job),
    };
    Ok(answer::json(state.position(), whole))
}

async fn cause(door: &Door, position: Position) -> Result<Option<CauseView>, Problem> {
    let after = Position::from(position.get().saturating_sub(1));
    let page = EventPage { after, up_to: position, limit: 1, entity: None, event_type: None };
    Ok(door.source().events(page).await?.pop().map(CauseView::from))
}
