//! `GET /v1/coverage`: what covers each control, and which controls nothing covers.

use std::collections::BTreeSet;

use api::compliance::{ControlCoverage, CoverageCounts, CoverageReport, CoveringClaim};
use program::tasks::run_blocking;
use projections::configuration::Configuration;
use schema::id::{AssessmentId, ComponentId, ControlId, JobId};

use crate::http::answer::{JsonAnswer, RenderedItem};
use crate::http::operation::Asked;
use crate::http::paging::PageQuery;
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::SnapshotQuery;

fn coverage(state: &Configuration, control: &ControlId, title: &str) -> ControlCoverage {
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
    ControlCoverage {
        control: control.clone(),
        title: title.to_string(),
        components,
        assessments,
        jobs,
        claims,
        covered,
    }
}

fn report(state: &Configuration, page: &PageQuery) -> CoverageReport<RenderedItem<ControlCoverage>> {
    let controls = state.compliance().controls();
    let show = |control: &ControlId, title: &str| coverage(state, control, title);
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

pub(super) async fn show(
    asked: Asked<(PageQuery, SnapshotQuery)>,
) -> Result<JsonAnswer<CoverageReport<RenderedItem<ControlCoverage>>>, ProblemResponse> {
    let Asked { app, params: (page, query), .. } = asked;
    let (memory, state) = app.page(&page, query).await?;
    let position = state.position();
    let report = run_blocking(move || report(&state, &page)).await;
    Ok(JsonAnswer::new(position, report).with_memory(memory))
}
