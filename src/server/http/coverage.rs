//! `GET /v1/coverage`: what covers each control, and which controls nothing covers.

use std::collections::BTreeSet;

use api::page::ListPage;
use axum::response::Response;
use program::tasks::run_blocking;
use projections::configuration::Configuration;
use schema::id::{AssessmentId, ComponentId, ControlId, JobId, NodeId};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::http::answer;
use crate::http::auth::AuthenticatedState;
use crate::http::paging::PageQuery;
use crate::http::params::QueryParams;
use crate::http::problem::ProblemResponse;

/// A page of controls, and figures of all controls.
#[derive(Serialize)]
struct CoverageReport {
    #[serde(flatten)]
    page: ListPage<Box<RawValue>>,
    counts: CoverageCounts,
    /// All controls without a claim on any of their jobs, on whichever page they are.
    uncovered: Vec<ControlId>,
}

/// Numbers of controls.
#[derive(Default, Serialize)]
struct CoverageCounts {
    controls: usize,
    /// With a component that implements them or is assessed for them.
    with_components: usize,
    /// With an assessment.
    with_assessments: usize,
    /// With a job that a runtime has claimed.
    with_claims: usize,
}

/// What covers one control.
#[derive(Serialize)]
struct ControlCoverage {
    control: ControlId,
    title: String,
    /// The components that implement it, and those that are assessed for it.
    components: BTreeSet<ComponentId>,
    assessments: Vec<AssessmentId>,
    /// How many jobs follow from it.
    jobs: usize,
    /// Claims on those jobs.
    claims: Vec<CoveringClaim>,
    /// Whether there is any claim.
    covered: bool,
}

#[derive(Serialize)]
struct CoveringClaim {
    job: JobId,
    runtime: NodeId,
}

impl ControlCoverage {
    fn of(state: &Configuration, control: &ControlId, title: &str) -> Self {
        let compliance = state.compliance();
        let assessments: Vec<AssessmentId> = compliance.assessments_of(control).cloned().collect();
        let mut components: BTreeSet<ComponentId> = compliance.components_of(control).cloned().collect();
        let (mut jobs, mut claims) = (0, Vec::new());
        for assessment in &assessments {
            let cover = compliance.assessments().get(assessment).map(|defined| &defined.said.cover);
            let covered = cover.into_iter().flat_map(|cover| compliance.covered(cover));
            components.extend(covered.map(|(id, _)| id.clone()));
            for job in compliance.attestations_of(assessment).map(JobId::derived) {
                jobs += 1;
                let claim = state.jobs().all().get(&job).and_then(|job| job.claim.as_ref());
                claims.extend(claim.map(|claim| CoveringClaim { job, runtime: claim.runtime.clone() }));
            }
        }
        let covered = !claims.is_empty();
        Self { control: control.clone(), title: title.to_string(), components, assessments, jobs, claims, covered }
    }
}

fn report(state: &Configuration, page: &PageQuery) -> CoverageReport {
    let controls = state.compliance().controls();
    let show = |control: &ControlId, title: &str| ControlCoverage::of(state, control, title);
    let page = page.list(controls.range(page.keys::<ControlId>()), |id, control| show(id, &control.said.title));
    let mut counts = CoverageCounts { controls: controls.len(), ..CoverageCounts::default() };
    let mut uncovered = Vec::new();
    for (id, control) in controls {
        let view = show(id, &control.said.title);
        counts.with_components += usize::from(!view.components.is_empty());
        counts.with_assessments += usize::from(!view.assessments.is_empty());
        counts.with_claims += usize::from(view.covered);
        if !view.covered {
            uncovered.push(view.control);
        }
    }
    CoverageReport { page, counts, uncovered }
}

pub(super) async fn show(app: AuthenticatedState, params: QueryParams) -> Result<Response, ProblemResponse> {
    let (page, memory, state) = app.page(params).await?;
    let position = state.position();
    let report = run_blocking(move || report(&state, &page)).await;
    Ok(memory.attach_to(answer::json(position, report)))
}
