//! Jobs: their specs, their claims, and the causes of both. The token of a claim is only for the runtime that holds it.

use api::job::{ClaimView, CompletedView, JobDetail, JobSummary};
use program::tasks::run_blocking;
use projections::configuration::Configuration;
use projections::jobs::{CompletedRun, Job};
use schema::id::JobId;

use crate::http::answer::JsonAnswer;
use crate::http::operation::Asked;
use crate::http::paging::{PageQuery, RenderedPage};
use crate::http::path_id::PathId;
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::SnapshotQuery;

fn summary(state: &Configuration, id: &JobId, job: &Job) -> JobSummary {
    let claim = job.claim.as_ref().map(|claim| ClaimView {
        runtime: claim.runtime.clone(),
        position: claim.position,
        lease_s: claim.lease_s,
    });
    JobSummary {
        id: id.clone(),
        attestation: job.attestation.clone(),
        spec_digest: state.spec(id).expect("BUG: a job of the state has a spec").digest,
        waiting_since: claim.is_none().then_some(job.since),
        claim,
        completed: job.completed.as_deref().map(completed),
    }
}

fn completed(completed: &CompletedRun) -> CompletedView {
    let CompletedRun { runtime, spec_digest, outcome, position, at } = completed.clone();
    CompletedView { runtime, outcome, spec_digest, position, at }
}

/// `GET /v1/jobs`
pub(super) async fn list(
    asked: Asked<(PageQuery, SnapshotQuery)>,
) -> Result<JsonAnswer<RenderedPage<JobSummary>>, ProblemResponse> {
    let Asked { app, params: (page, query), .. } = asked;
    let (memory, state) = app.page(&page, query).await?;
    let position = state.position();
    // Each item shows the digest of a spec, and this may be the first request that needs a thousand specs rendered.
    let listed = run_blocking(move || {
        page.list(state.jobs().all().range(page.keys::<JobId>()), |id, job| summary(&state, id, job))
    });
    Ok(JsonAnswer::new(position, listed.await).with_memory(memory))
}

/// `GET /v1/jobs/{id}`
pub(super) async fn one(
    asked: Asked<(PathId<JobId>, SnapshotQuery)>,
) -> Result<JsonAnswer<JobDetail>, ProblemResponse> {
    let Asked { app, params: (PathId(id), query), .. } = asked;
    let state = app.snapshot(query).await?.configuration;
    let Some(job) = state.jobs().all().get(&id) else {
        return Err(ProblemResponse::unknown_entity("job", id.as_str()));
    };
    let spec = state.spec(&id).expect("BUG: a job of the state has a spec");
    let detail = JobDetail {
        summary: summary(&state, &id, job),
        spec: serde_json::from_slice(&spec.bytes).expect("BUG: a spec is an object of JSON"),
        cause: app.causing_events(vec![job.cause.position]).await?.pop(),
        sources: state.spec_sources(job),
    };
    Ok(JsonAnswer::new(state.position(), detail))
}
