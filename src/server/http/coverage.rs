//! `GET /v1/coverage`: for each control, what covers it, and which controls nothing covers.

use std::collections::BTreeSet;

use axum::response::Response;
use projections::configuration::Configuration;
use schema::id::{AssessmentId, ComponentId, ControlId, JobId, NodeId};
use serde::Serialize;

use crate::http::answer;
use crate::http::auth::Admitted;
use crate::http::blocking::apart;
use crate::http::paging::{Listing, Page};
use crate::http::params::Params;
use crate::http::problem::Problem;

/// A page of controls, and what holds for all of them.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    listing: Listing,
    counts: Counts,
    /// The controls without a live claim on any of their jobs, however many pages there are.
    uncovered: Vec<ControlId>,
}

/// How many controls have what.
#[derive(Default, Serialize)]
struct Counts {
    controls: usize,
    /// Some component implements it, or is assessed for it.
    with_components: usize,
    /// There is an assessment of it.
    with_assessments: usize,
    /// Somebody runs a job for it.
    with_claims: usize,
}

/// What covers one control.
#[derive(Serialize)]
struct View {
    control: ControlId,
    title: String,
    /// Those that it holds for, and those that are assessed for it.
    components: BTreeSet<ComponentId>,
    assessments: Vec<AssessmentId>,
    /// How many jobs follow from it.
    jobs: usize,
    /// Those that somebody has.
    claims: Vec<ClaimView>,
    /// Whether somebody runs a job for it.
    covered: bool,
}

#[derive(Serialize)]
struct ClaimView {
    job: JobId,
    runtime: NodeId,
}

impl View {
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
                claims.extend(claim.map(|claim| ClaimView { job, runtime: claim.runtime.clone() }));
            }
        }
        let covered = !claims.is_empty();
        Self { control: control.clone(), title: title.to_string(), components, assessments, jobs, claims, covered }
    }
}

fn report(state: &Configuration, page: &Page) -> Report {
    let controls = state.compliance().controls();
    let show = |control: &ControlId, title: &str| View::of(state, control, title);
    let listing = page.list(controls.range(page.keys::<ControlId>()), |id, control| show(id, &control.said.title));
    let mut counts = Counts { controls: controls.len(), ..Counts::default() };
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
    Report { listing, counts, uncovered }
}

/// Shows it.
pub(super) async fn show(door: Admitted, params: Params) -> Result<Response, Problem> {
    let (page, room, state) = door.page(params).await?;
    let position = state.position();
    let report = apart(move || report(&state, &page)).await;
    Ok(room.holding(answer::json(position, report)))
}
