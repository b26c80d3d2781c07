//! Dry runs: a request is decided against a state and rendered, and nothing is kept. So an auditor may do one, too.

use std::time::{SystemTime, UNIX_EPOCH};

use api::dry_run::{BundleMove, DryRunAnswer};
use api::impact::NodeChange;
use projections::configuration::Configuration;
use projections::outcome::{Outcome, outcome};
use projections::refusal::RequestRefusal;
use projections::request::{DecisionWithState, RequestContext, may_send, preview_request};
use schema::answer::Answer;
use schema::bundle::BundleAssigned;
use schema::change::Change;
use schema::command::Command;
use schema::entity::{Actor, Entity};
use schema::event::Event;
use schema::id::{BundleId, CommandId, LogId, NodeId};
use schema::instant::Instant;
use schema::position::Version;
use schema::request::Request;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

use crate::http::auth::AuthenticatedState;
use crate::http::impact::{job_change, node_change};
use crate::http::planned_node::{NODES_SHOWN_MAX, planned_node};
use crate::http::problem::ProblemResponse;
use crate::http::rollout_preview;

/// Decides and renders a request.
pub(super) async fn dry_run(
    app: &AuthenticatedState,
    before: Configuration,
    actor: Actor,
    request: Request,
) -> Result<DryRunAnswer, ProblemResponse> {
    let (log_id, reports) = (app.log().log_id(), app.clone());
    let decided = app.run_expensive(async move {
        let permitted = may_send(&before, &actor, &request);
        let plannable = is_plannable(&request);
        let decided = preview(&before, log_id, actor, &request)?;
        let is_heard = |node: &NodeId| reports.reports().is_heard(node);
        Ok(DryRunAnswer { permitted, ..answer(&before, decided, plannable, is_heard) })
    });
    decided.await?.map_err(|refused: RequestRefusal| refused.into())
}

/// Decides a request as if it were sent now. Nothing is kept, so the request needs no id of its own, and a claim token that the answer shows
/// is valid nowhere.
pub(super) fn preview(
    before: &Configuration,
    log_id: LogId,
    actor: Actor,
    request: &Request,
) -> Result<DecisionWithState, RequestRefusal> {
    let command_id = CommandId::from(Uuid::nil());
    let envelope = RequestContext { log_id, command_id, actor, entropy: [0; 16], clock: clock() };
    preview_request(before, &envelope, request)
}

/// Whether the events of a request follow from it and the state: tokens of claims are drawn at random.
pub(super) fn is_plannable(request: &Request) -> bool {
    !request.commands.iter().any(|ask| matches!(ask.command, Command::ClaimJobs(_)))
}

fn answer(
    before: &Configuration,
    decided: DecisionWithState,
    plannable: bool,
    is_heard: impl Fn(&NodeId) -> bool,
) -> DryRunAnswer {
    let DecisionWithState { configuration: after, events, affected, answer } = decided;
    let Outcome { plan, records } = outcome(before, &after, &affected, &events);
    let digest = plannable.then(|| plan.digest());
    let desired: Vec<NodeChange> = records.into_iter().map(node_change).collect();
    let more = plan.nodes.len().saturating_sub(NODES_SHOWN_MAX);
    let records: BTreeMap<&NodeId, &NodeChange> = desired.iter().map(|change| (&change.node, change)).collect();
    let shown = plan.nodes.into_iter().take(NODES_SHOWN_MAX);
    let nodes = shown.map(|node| planned_node(&after, records[&node.node].clone(), node)).collect();
    let started = plan.rollouts.into_iter();
    let rollouts =
        started.filter_map(|planned| rollout_preview::of(before, &after, answer.log_id, planned, &is_heard)).collect();
    DryRunAnswer {
        answer: Answer { command_id: None, ..answer },
        dry_run: true,
        nodes,
        desired,
        plan: digest,
        base: before.plan_base(),
        more,
        jobs: plan.jobs.into_iter().map(job_change).collect(),
        rollouts,
        creates: created(before, &after, &events),
        prunes: pruned(&events),
        moves: moved(before, &events),
        permitted: true,
    }
}

/// What the request makes, each once.
fn created(before: &Configuration, after: &Configuration, events: &[Event]) -> Vec<Entity> {
    let is_there = |state: &Configuration, entity: &Entity| state.version_present(entity) > Version::ZERO;
    let entities: BTreeSet<&Entity> = events.iter().map(|event| &event.entity).collect();
    entities.into_iter().filter(|entity| !is_there(before, entity) && is_there(after, entity)).cloned().collect()
}

/// What the request takes from one bundle into another.
fn moved(before: &Configuration, events: &[Event]) -> Vec<BundleMove> {
    let mut moves = Vec::new();
    for event in events {
        let Ok(Change::BundleAssigned(assigned)) = event.change() else { continue };
        let to = BundleId::from(event.entity.id.clone());
        moves.extend(assigned.joined.iter().filter_map(|entity| {
            let from = before.bundles().owner(entity).filter(|from| **from != to)?.clone();
            Some(BundleMove { entity: entity.clone(), from, to: to.clone() })
        }));
    }
    moves
}

/// What the request removes because it leaves a bundle.
fn pruned(events: &[Event]) -> Vec<Entity> {
    let mut left = BTreeSet::new();
    let mut removed = Vec::new();
    for event in events {
        match event.change() {
            Ok(Change::BundleAssigned(assigned)) => {
                let BundleAssigned { left: leaving, .. } = &*assigned;
                left.extend(leaving.iter().cloned());
            }
            Ok(change) if change.removes() && left.contains(&event.entity) => removed.push(event.entity.clone()),
            _ => {}
        }
    }
    removed
}

/// The present time of this machine.
fn clock() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant::from_unix_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
