//! Which jobs are waited for, and how they are read from the server.

use std::collections::{BTreeMap, BTreeSet};

use api::node::StatusReason;
use api::path::IMPACT;
use schema::id::{AssessmentId, AttestationId, ControlId, Id};
use schema::labels::Labels;
use schema::target::Selector;
use serde::Deserialize;

use super::awaited_entity::{AwaitedEntity, NodeStatusRow};
use crate::api_client::ApiClient;
use crate::error::Error;

/// The outcome of a run that is as it should be.
const PASSED: &str = "passed";

/// Which jobs are waited for.
#[derive(Clone, Debug)]
pub(super) enum JobSelection {
    /// These, whether they are there or not.
    Named(BTreeSet<Id>),
    /// Those whose control has such labels.
    Labelled(Selector),
    /// All.
    All,
    /// Those whose specs a request changed.
    Request(String),
}

/// A job of `GET /v1/jobs`, as far as it matters here.
#[derive(Deserialize)]
struct JobRow {
    id: Id,
    attestation: AttestationId,
    spec_digest: String,
    claim: Option<ClaimRow>,
    completed: Option<RunRow>,
}

#[derive(Deserialize)]
struct ClaimRow {
    runtime: Id,
}

#[derive(Deserialize)]
struct RunRow {
    runtime: Id,
    outcome: String,
    spec_digest: String,
    position: u64,
}

#[derive(Deserialize)]
struct ChangedJobs {
    position: u64,
    jobs: Vec<ChangedJob>,
}

#[derive(Deserialize)]
struct ChangedJob {
    job: Id,
    after: Option<String>,
}

#[derive(Deserialize)]
struct AttestationRow {
    id: AttestationId,
    assessment: AssessmentId,
}

#[derive(Deserialize)]
struct AssessmentRow {
    id: AssessmentId,
    control: ControlId,
}

#[derive(Deserialize)]
struct ControlRow {
    id: ControlId,
    #[serde(default)]
    labels: Labels,
}

impl JobSelection {
    /// Whether at least one job must be found. A request may have changed none.
    pub(super) fn needs_a_job(&self) -> bool {
        matches!(self, Self::Labelled(_) | Self::All)
    }

    /// The jobs as they are now. A request is looked up once: what it changed does not change.
    pub(super) async fn read(&mut self, client: &ApiClient) -> Result<Vec<AwaitedEntity>, Error> {
        if let Self::Request(request) = self {
            *self = Self::Named(changed_jobs(client, request).await?);
        }
        let rows: Vec<JobRow> = client.list("/v1/jobs", &[]).await?;
        Ok(match self {
            Self::Named(ids) => {
                let mut listed: BTreeMap<Id, JobRow> = rows.into_iter().map(|row| (row.id.clone(), row)).collect();
                ids.iter()
                    .map(|id| listed.remove(id).map_or_else(|| AwaitedEntity { id: id.clone(), status: None }, awaited))
                    .collect()
            }
            Self::Labelled(selector) => {
                let fitting = attestations(client, selector).await?;
                rows.into_iter().filter(|row| fitting.contains(&row.attestation)).map(awaited).collect()
            }
            Self::All | Self::Request(_) => rows.into_iter().map(awaited).collect(),
        })
    }
}

/// A job that has run its spec as it is now has passed or not; the runs of an older spec say nothing.
fn awaited(row: JobRow) -> AwaitedEntity {
    let run = row.completed.filter(|run| run.spec_digest == row.spec_digest);
    let (state, reason) = match (run, row.claim) {
        (Some(run), _) if run.outcome == PASSED => ("converged", None),
        (Some(run), _) => {
            let detail = format!("by runtime {}, at position {}", run.runtime, run.position);
            ("failed", Some(StatusReason { code: run.outcome, detail }))
        }
        (None, Some(claim)) => {
            let detail = format!("runtime {} has it, and has not run it as it is now", claim.runtime);
            ("progressing", Some(StatusReason { code: "claimed".to_owned(), detail }))
        }
        (None, None) => {
            let detail = "no runtime has it".to_owned();
            ("progressing", Some(StatusReason { code: "unclaimed".to_owned(), detail }))
        }
    };
    let labels = Labels::new();
    let status =
        NodeStatusRow { id: row.id, labels, retired: false, state: state.to_owned(), silence_ms: None, reason };
    AwaitedEntity::from(status)
}

/// The attestations whose control has such labels.
async fn attestations(client: &ApiClient, selector: &Selector) -> Result<BTreeSet<AttestationId>, Error> {
    let controls: Vec<ControlRow> = client.list("/v1/controls", &[]).await?;
    let controls: BTreeSet<ControlId> =
        controls.into_iter().filter(|control| selector.matches(&control.labels)).map(|control| control.id).collect();
    let assessments: Vec<AssessmentRow> = client.list("/v1/assessments", &[]).await?;
    let assessments: BTreeSet<AssessmentId> = assessments
        .into_iter()
        .filter(|assessment| controls.contains(&assessment.control))
        .map(|assessment| assessment.id)
        .collect();
    let attestations: Vec<AttestationRow> = client.list("/v1/attestations", &[]).await?;
    let fitting = attestations.into_iter().filter(|attestation| assessments.contains(&attestation.assessment));
    Ok(fitting.map(|attestation| attestation.id).collect())
}

/// The jobs that have another spec since the request, and are there after it.
async fn changed_jobs(client: &ApiClient, request: &str) -> Result<BTreeSet<Id>, Error> {
    let ChangedJobs { position, jobs } = client.get(&format!("{IMPACT}/{request}")).await?;
    client.has_reached(position);
    Ok(jobs.into_iter().filter(|changed| changed.after.is_some()).map(|changed| changed.job).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn only_a_run_of_the_spec_as_it_is_now_counts() {
        let run = |outcome: &str, spec: &str| json!({"runtime": "r-1", "outcome": outcome, "spec_digest": spec, "position": 9});
        let claim = json!({"runtime": "r-1", "position": 3, "lease_s": 300});
        for (claim, completed, state, code) in [
            (json!(null), json!(null), "progressing", "unclaimed"),
            (claim.clone(), json!(null), "progressing", "claimed"),
            (claim.clone(), run("passed", "old"), "progressing", "claimed"),
            (claim.clone(), run("failed", "old"), "progressing", "claimed"),
            (claim.clone(), run("passed", "new"), "converged", ""),
            (json!(null), run("passed", "new"), "converged", ""),
            (claim, run("timed_out", "new"), "failed", "timed_out"),
        ] {
            let row: Value =
                json!({"id": "j-1", "attestation": "a", "spec_digest": "new", "claim": claim, "completed": completed});
            let job = awaited(serde_json::from_value(row).expect("a row"));
            assert_eq!((job.state(), job.code()), (Some(state), code));
        }
    }
}
