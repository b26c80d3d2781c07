//! Rollouts: open ones with what they wait for, and ended ones with how they ended.

use std::collections::BTreeMap;

use api::rollout::{PolicyView, RolloutDetail, RolloutEndView, RolloutSummary, StageView, StagedChange, WaitView};
use program::clock::system_time;
use projections::configuration::Configuration;
use projections::rollout_view::RolloutWait;
use projections::rollouts::{EndedRollout, Rollout};
use schema::id::{NodeId, RolloutId};
use schema::instant::Instant;
use schema::rollout::FailureLimit;

use crate::http::answer::JsonAnswer;
use crate::http::operation::Asked;
use crate::http::paging::{PageQuery, RenderedPage};
use crate::http::path_id::PathId;
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::SnapshotQuery;

/// A rollout, open or ended.
enum AnyRollout<'a> {
    Open(&'a Rollout),
    Ended(&'a EndedRollout),
}

/// A state, and who was heard lately.
struct RolloutReader<'a, F> {
    state: &'a Configuration,
    now: Instant,
    is_heard: F,
}

impl<F: Fn(&NodeId) -> bool> RolloutReader<'_, F> {
    fn summary(&self, id: &RolloutId, rollout: &AnyRollout<'_>) -> RolloutSummary {
        match rollout {
            AnyRollout::Open(open) => RolloutSummary {
                id: id.clone(),
                status: open.status.name().to_owned(),
                stage: open.stage_policy().map(|stage| stage.name.clone()),
                released: open.released.len(),
                in_flight: open.in_flight.len(),
                counts: open.counts,
                failed: open.failures.total(),
                waiting: self.state.waiting(id, self.now, &self.is_heard).map(wait),
                ended: None,
                version: open.version,
                position: open.position,
                at: open.at,
            },
            AnyRollout::Ended(ended) => RolloutSummary {
                id: id.clone(),
                status: ended.end.name().to_owned(),
                stage: None,
                released: 0,
                in_flight: 0,
                counts: ended.counts,
                failed: ended.counts.failed + ended.counts.late + ended.counts.lost,
                waiting: None,
                ended: Some(RolloutEndView {
                    by: ended.by.clone(),
                    reason: ended.reason.as_deref().map(str::to_owned),
                    failed: ended.failed.clone(),
                }),
                version: ended.version,
                position: ended.position,
                at: ended.at,
            },
        }
    }

    fn detail(&self, id: &RolloutId, rollout: &AnyRollout<'_>) -> RolloutDetail {
        let summary = self.summary(id, rollout);
        let AnyRollout::Open(open) = rollout else {
            let (changes, stages) = (Vec::new(), Vec::new());
            return RolloutDetail { summary, policy: None, failures: None, changes, stages };
        };
        let staged = open.changes.iter().filter_map(|id| self.state.rollouts().staged().get_key_value(id));
        let changes = staged.map(|(document, staged)| StagedChange {
            document: document.clone(),
            path: staged.put.as_ref().map(|put| put.put.path.clone()),
            digest: staged.put.as_ref().map(|put| put.put.digest),
            version: staged.version,
            position: staged.position,
        });
        let policy = &open.opened;
        let stages = policy.stages.iter().zip(&open.stages).map(|(stage, tally)| StageView {
            name: stage.name.clone(),
            select: stage.select.clone(),
            up_to: stage.up_to,
            at_least: stage.at_least,
            bake_s: stage.bake_s,
            gate: stage.gate,
            approved: tally.approved,
            members: tally.members,
            quota: tally.quota,
            released: tally.released,
            counts: tally.counts,
        });
        RolloutDetail {
            summary,
            policy: Some(PolicyView {
                max_in_flight: policy.max_in_flight,
                settle_s: policy.settle_s,
                max_failures: FailureLimit { count: open.max_failures },
                on_failure: policy.on_failure,
                absent_max: policy.absent_max,
            }),
            failures: Some(open.failures),
            changes: changes.collect(),
            stages: stages.collect(),
        }
    }
}

fn wait(RolloutWait { reason, until, nodes }: RolloutWait) -> WaitView {
    WaitView { reason: reason.name().to_owned(), until, nodes: nodes.into() }
}

fn any<'a>(state: &'a Configuration, id: &RolloutId) -> Option<AnyRollout<'a>> {
    let rollouts = state.rollouts();
    let ended = || rollouts.ended().get(id).map(AnyRollout::Ended);
    rollouts.open().get(id).map(AnyRollout::Open).or_else(ended)
}

fn all(state: &Configuration) -> BTreeMap<RolloutId, AnyRollout<'_>> {
    let rollouts = state.rollouts();
    let open = rollouts.open().iter().map(|(id, rollout)| (id.clone(), AnyRollout::Open(rollout)));
    open.chain(rollouts.ended().iter().map(|(id, ended)| (id.clone(), AnyRollout::Ended(ended)))).collect()
}

/// `GET /v1/rollouts`
pub(super) async fn list(
    asked: Asked<(PageQuery, SnapshotQuery)>,
) -> Result<JsonAnswer<RenderedPage<RolloutSummary>>, ProblemResponse> {
    let Asked { app, params: (page, query), .. } = asked;
    let (memory, state) = app.page(&page, query).await?;
    let reader =
        RolloutReader { state: &state, now: system_time(), is_heard: |id: &NodeId| app.reports().is_heard(id) };
    let listed = page.list(all(&state).range(page.keys::<RolloutId>()), |id, rollout| reader.summary(id, rollout));
    Ok(JsonAnswer::new(state.position(), listed).with_memory(memory))
}

/// `GET /v1/rollouts/{id}`
pub(super) async fn one(
    asked: Asked<(PathId<RolloutId>, SnapshotQuery)>,
) -> Result<JsonAnswer<RolloutDetail>, ProblemResponse> {
    let Asked { app, params: (PathId(id), query), .. } = asked;
    let state = app.snapshot(query).await?.configuration;
    let reader =
        RolloutReader { state: &state, now: system_time(), is_heard: |id: &NodeId| app.reports().is_heard(id) };
    match any(&state, &id) {
        Some(rollout) => Ok(JsonAnswer::new(state.position(), reader.detail(&id, &rollout))),
        None => Err(ProblemResponse::unknown_entity("rollout", id.as_str())),
    }
}
