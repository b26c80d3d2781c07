//! Jobs: their specs, their claims, and the causes of both. The token of a claim is only for the runtime that holds it.

use axum::extract::Path;
use axum::response::Response;
use program::tasks::run_blocking;
use projections::configuration::Configuration;
use projections::jobs::{CompletedRun, Job};
use schema::desired::Source;
use schema::digest::Digest;
use schema::id::{AttestationId, JobId, NodeId};
use schema::instant::Instant;
use schema::position::Position;
use serde::Serialize;
use serde_json::Value;

use crate::http::answer;
use crate::http::auth::AuthenticatedState;
use crate::http::causing_events::CausingEvent;
use crate::http::params::QueryParams;
use crate::http::problem::ProblemResponse;

/// A job as a list shows it.
#[derive(Serialize)]
struct JobView {
    id: JobId,
    attestation: AttestationId,
    spec_digest: Digest,
    /// None while no runtime has the job.
    claim: Option<ClaimView>,
    /// The position since which no runtime has the job; none while one has.
    waiting_since: Option<Position>,
    /// The result of its last run.
    completed: Option<CompletedView>,
}

/// A job with all that is known of it.
#[derive(Serialize)]
struct JobDetail {
    #[serde(flatten)]
    view: JobView,
    spec: Value,
    /// The event that changed the spec last.
    cause: Option<CausingEvent>,
    /// The entities that the spec is rendered from.
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

impl JobView {
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

impl From<&CompletedRun> for CompletedView {
    fn from(completed: &CompletedRun) -> Self {
        let CompletedRun { runtime, spec_digest, outcome, position, at } = completed.clone();
        Self { runtime, outcome, spec_digest, position, at }
    }
}

/// `GET /v1/jobs`
pub(super) async fn list(app: AuthenticatedState, params: QueryParams) -> Result<Response, ProblemResponse> {
    let (page, memory, state) = app.page(params).await?;
    let position = state.position();
    // Each item shows the digest of a spec, and this may be the first request that needs a thousand specs rendered.
    let listed = run_blocking(move || {
        page.list(state.jobs().all().range(page.keys::<JobId>()), |id, job| JobView::of(&state, id, job))
    });
    Ok(memory.attach_to(answer::json(position, listed.await)))
}

/// `GET /v1/jobs/{id}`
pub(super) async fn one(
    app: AuthenticatedState,
    Path(id): Path<String>,
    params: QueryParams,
) -> Result<Response, ProblemResponse> {
    let (id, state) = app.item::<JobId>(&id, params).await?;
    let Some(job) = state.jobs().all().get(&id) else {
        return Err(ProblemResponse::unknown_entity("job", id.as_str()));
    };
    let spec = state.spec(&id).expect("BUG: a job of the state has a spec");
    let detail = JobDetail {
        view: JobView::of(&state, &id, job),
        spec: serde_json::from_slice(&spec.bytes).expect("BUG: a spec is JSON"),
        cause: app.causing_events(vec![job.cause.position]).await?.pop(),
        sources: state.spec_sources(job),
    };
    Ok(answer::json(state.position(), detail))
}
