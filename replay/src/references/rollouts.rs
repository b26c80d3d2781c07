//! Checks of the events of rollouts: each fits the rollout as the events before it left it.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use projections::configuration::Configuration;
use projections::rollouts::{Rollout, RolloutStatus};
use schema::change::Change;
use schema::event::Event;
use schema::id::{DocumentId, Id, NodeId, RolloutId};
use schema::position::Version;
use schema::rollout::{NodesReleased, REST};

use super::rule::holds;
use crate::event_error::EventError;

/// Checks an event about a rollout, or a change of a document in one.
pub(super) fn check(state: &Configuration, event: &Event, change: &Change) -> Result<(), EventError> {
    let id = RolloutId::from(event.entity.id.clone());
    match change {
        Change::RolloutOpened(opened) => {
            holds(event, state.version(&event.entity) == Version::ZERO, "a rollout that never was")?;
            let names: BTreeSet<&Id> = opened.stages.iter().map(|stage| &stage.name).collect();
            holds(event, names.len() == opened.stages.len(), "each stage under a name of its own")?;
            let last = opened.stages.last().map(|stage| stage.name.as_str());
            return holds(event, last == Some(REST), "`rest` as the last stage");
        }
        Change::DocumentStaged(staged) => return staged_in(state, event, &staged.rollout),
        Change::RemovalStaged(staged) => {
            let document = DocumentId::from(event.entity.id.clone());
            holds(event, state.documents().contains_key(&document), "a document that is there")?;
            return staged_in(state, event, &staged.rollout);
        }
        _ => {}
    }
    let Some(rollout) = state.rollouts().open().get(&id) else { return holds(event, false, "a rollout that is open") };
    let is_started = rollout.status != RolloutStatus::Draft;
    match change {
        Change::RolloutStarted => holds(event, !is_started && !rollout.changes.is_empty(), "a draft with changes"),
        Change::RolloutAborted(_) => Ok(()),
        _ if !is_started => holds(event, false, "a rollout that was started"),
        Change::StageOpened(opened) => {
            let next = rollout.stage.map_or(0, |stage| stage + 1);
            let name = rollout.opened.stages.get(next).map(|stage| &stage.name);
            holds(event, name == Some(&opened.stage), "the stage after the one that is open")
        }
        Change::NodesReleased(released) => released_by(state, event, rollout, released),
        Change::NodesExpected(expected) => {
            let nodes = expected.nodes.iter().map(|node| &node.id).chain(&expected.shadowed);
            are_released(event, rollout, nodes)
        }
        Change::NodesOverdue(overdue) => are_released(event, rollout, overdue.late.iter().chain(&overdue.lost)),
        Change::StageApproved(approved) => is_open(event, rollout, &approved.stage),
        Change::StagePassed(passed) => is_open(event, rollout, &passed.stage),
        Change::RolloutPromoted | Change::RolloutCompleted => {
            holds(event, rollout.is_in_rest(), "the last stage to be open")
        }
        _ => Ok(()),
    }
}

/// Only what every node has is removed: what a rollout alone has goes with the rollout.
pub(super) fn removed(state: &Configuration, event: &Event) -> Result<(), EventError> {
    let document = DocumentId::from(event.entity.id.clone());
    holds(event, state.documents().contains_key(&document), "a document that is there for every node")
}

/// A document that a rollout changes is not put beside it.
pub(super) fn put(state: &Configuration, event: &Event) -> Result<(), EventError> {
    let document = DocumentId::from(event.entity.id.clone());
    holds(event, state.rollouts().underway(&document).is_none(), "a document that no started rollout changes")
}

fn staged_in(state: &Configuration, event: &Event, rollout: &RolloutId) -> Result<(), EventError> {
    let draft = state.rollouts().open().get(rollout).filter(|rollout| rollout.status == RolloutStatus::Draft);
    holds(event, draft.is_some(), "a rollout that is a draft")?;
    let staged = state.rollouts().staged().get(&DocumentId::from(event.entity.id.clone()));
    holds(event, staged.is_none_or(|staged| staged.rollout == *rollout), "a document that no other rollout changes")
}

fn released_by(
    state: &Configuration,
    event: &Event,
    rollout: &Rollout,
    released: &NodesReleased,
) -> Result<(), EventError> {
    holds(event, rollout.status == RolloutStatus::Running, "a rollout that is running")?;
    is_open(event, rollout, &released.stage)?;
    let nodes: Vec<&NodeId> = released.nodes.iter().map(|node| &node.id).chain(&released.moot).collect();
    let each: BTreeSet<_> = nodes.iter().collect();
    holds(event, each.len() == nodes.len(), "each node once")?;
    let may_get = |node: &&NodeId| state.is_member(rollout, node) && !rollout.released.contains(*node);
    holds(event, nodes.iter().all(may_get), "nodes that its changes are for, and that it has not released")
}

fn are_released<'a>(
    event: &Event,
    rollout: &Rollout,
    mut nodes: impl Iterator<Item = &'a NodeId>,
) -> Result<(), EventError> {
    holds(event, nodes.all(|node| rollout.released.contains(node)), "nodes that it has released")
}

fn is_open(event: &Event, rollout: &Rollout, stage: &Id) -> Result<(), EventError> {
    let open = rollout.stage_policy().map(|policy| &policy.name);
    holds(event, open == Some(stage), "the stage that is open")
}
