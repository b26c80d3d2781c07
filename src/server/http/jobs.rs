//! Jobs: what is to be run, who has it, and why it is what it is. The proof of a claim is its holder's and not shown.

use axum::extract::Path;
use axum::response::Response;
use projections::configuration::Configuration;
use projections::jobs::{Completed, Job};
use schema::desired::Source;
use schema::digest::Digest;
use schema::id::{AttestationId, JobId, NodeId};
use schema::instant::Instant;
use schema::position::Position;
use serde::Serialize;
use serde_json::Value;

use crate::http::answer;
use crate::http::auth::Admitted;
use crate::http::blocking::apart;
use crate::http::causes::Cause;
use crate::http::params::Params;
use crate::http::problem::Problem;

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
    cause: Option<Cause>,
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

/// `GET /v1/jobs`
pub(super) async fn list(door: Admitted, params: Params) -> Result<Response, Problem> {
    let (page, room, state) = door.page(params).await?;
    let position = state.position();
    // Digests are of rendered specs, and a page may be the first to ask for a thousand of them.
    let listing =
        apart(move || page.list(state.jobs().all().range(page.keys::<JobId>()), |id, job| View::of(&state, id, job)));
    Ok(room.holding(answer::json(position, listing.await)))
}

/// `GET /v1/jobs/{id}`
pub(super) async fn one(door: Admitted, Path(id): Path<String>, params: Params) -> Result<Response, Problem> {
    let (id, state) = door.item::<JobId>(&id, params).await?;
    let Some(job) = state.jobs().all().get(&id) else {
        return Err(Problem::unknown("job", id.as_str()));
    };
    let spec = state.spec(&id).expect("BUG: a job of the state has a spec");
    let whole = Whole {
        view: View::of(&state, &id, job),
        spec: serde_json::from_slice(&spec.bytes).expect("BUG: a spec is JSON"),
        cause: door.causes(vec![job.cause.position]).await?.pop(),
        sources: state.spec_sources(job),
    };
    Ok(answer::json(state.position(), whole))
}
