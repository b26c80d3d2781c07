//! What follows for a rollout from what was seen of its nodes.
//!
//! The reconciler says who was heard and who is silent, and nothing else. Whatever a rollout does by itself is decided here, at the head
//! of the log, from the state there and the time that the events will bear. So whatever is claimed of rollouts is a property of this
//! function, and whoever has the log can check it again.

use alloc::sync::Arc;
use alloc::vec::Vec;

use schema::change::Change;
use schema::command::AdvanceRollout;
use schema::digest::Digest;
use schema::entity::{Actor, Entity};
use schema::id::{NodeId, RolloutId};
use schema::instant::Instant;
use schema::limit::IN_FLIGHT_MAX;
use schema::position::Position;
use schema::rollout::{
    FailureAction, NodeDigest, NodesExpected, NodesOverdue, NodesReleased, RolloutAborted, RolloutHalted, StageGate,
    StagePassed,
};

use super::rollouts::opening;
use crate::configuration::Configuration;
use crate::fold::RolloutMoment;
use crate::release_effect::ReleaseEffect;
use crate::rollouts::{ReleaseOutcome, Rollout, RolloutStatus};

/// Nodes that one event names at most, so that its data stays small.
const NODES_AN_EVENT: usize = IN_FLIGHT_MAX as usize;

/// The changes that follow, in the order in which they are appended; none if nothing follows.
#[must_use]
pub fn advance(state: &Configuration, advance: &AdvanceRollout, at: Instant) -> Vec<(Entity, Change)> {
    let id = &advance.id;
    if state.rollouts().open().get(id).is_none_or(|rollout| rollout.status == RolloutStatus::Draft) {
        return Vec::new();
    }
    let mut steps = Steps { state: state.clone(), entity: id.into(), id, at, changes: Vec::new() };
    steps.note_overdue(advance);
    steps.note_expected();
    if !steps.stop_if_failing() && steps.rollout().status == RolloutStatus::Running && !steps.pass_stage(advance) {
        steps.release(advance);
    }
    let Steps { entity, changes, .. } = steps;
    changes.into_iter().map(|change| (entity.clone(), change)).collect()
}

/// The steps of one decision. Each is taken against the state after the ones before it.
struct Steps<'a> {
    state: Configuration,
    entity: Entity,
    id: &'a RolloutId,
    at: Instant,
    changes: Vec<Change>,
}

impl Steps<'_> {
    fn rollout(&self) -> &Rollout {
        &self.state.rollouts().open()[self.id]
    }

    fn take(&mut self, change: Change) {
        let position = Position::from(self.state.position().get() + 1 + self.changes.len() as u64);
        let version = self.state.version(&self.entity).next();
        let moment = RolloutMoment {
            entity: &self.entity,
            position,
            version,
            at: self.at,
            by: &Actor::Reconciler,
            reason: None,
        };
        self.state.apply_rollout_change(moment, &change);
        self.changes.push(change);
    }

    /// Nodes that did not confirm in time, also while the rollout is paused; and those that its changes are not for any more.
    fn note_overdue(&mut self, seen: &AdvanceRollout) {
        let rollout = self.rollout();
        let (mut late, mut lost) = (Vec::new(), Vec::new());
        for node in &rollout.in_flight {
            let Some(release) = self.state.rollouts().release(self.id, node) else { continue };
            let is_over = self.at >= release.at.plus_seconds(rollout.opened.settle_s) && seen.overdue.contains(node);
            if !self.state.is_member(rollout, node) || (is_over && seen.silent.contains(node)) {
                lost.push(node.clone());
            } else if is_over {
                late.push(node.clone());
            }
        }
        late.truncate(NODES_AN_EVENT);
        lost.truncate(NODES_AN_EVENT - late.len());
        if !(late.is_empty() && lost.is_empty()) {
            self.take(Change::NodesOverdue(Arc::new(NodesOverdue { late, lost })));
        }
    }

    /// Nodes of which something else changed since: their records have other digests, or nothing of the rollout is in force there.
    fn note_expected(&mut self) {
        let (mut nodes, mut shadowed) = (Vec::new(), Vec::new());
        let rollout = self.rollout();
        // Also a node that has settled without confirming may still have to, or may still do so.
        let settled = rollout.unconfirmed.iter().filter(|node| !rollout.in_flight.contains(*node));
        for node in rollout.in_flight.iter().chain(settled) {
            if nodes.len() + shadowed.len() == NODES_AN_EVENT {
                break;
            }
            let Some(release) = self.state.rollouts().release(self.id, node) else { continue };
            if self.state.nodes().get(node).is_none_or(|known| known.cause.position <= release.known) {
                continue;
            }
            let Some(digest) = self.state.record_digest(node) else { continue };
            // Where nothing of the rollout was in force, it may be again as it was: then the node has to confirm that.
            let is_unconcerned = !release.in_flight && release.outcome.is_some_and(ReleaseOutcome::is_unconcerned);
            if release.expected.contains(&digest) && !is_unconcerned {
                continue;
            }
            let without = self.state.unreleased(self.id, node).record_digest(node);
            match without == Some(digest) {
                true => shadowed.push(node.clone()),
                false => nodes.push(NodeDigest { id: node.clone(), digest }),
            }
        }
        if !(nodes.is_empty() && shadowed.is_empty()) {
            self.take(Change::NodesExpected(Arc::new(NodesExpected { nodes, shadowed })));
        }
    }

    /// Stops the rollout if it has too many failures. Gives whether it has.
    fn stop_if_failing(&mut self) -> bool {
        let rollout = self.rollout();
        if !rollout.has_too_many_failures() {
            return false;
        }
        let failures = rollout.failures;
        match rollout.opened.on_failure {
            _ if rollout.status == RolloutStatus::Halted => {}
            FailureAction::Halt => self.take(Change::RolloutHalted(RolloutHalted { failures })),
            FailureAction::Abort => self.take(Change::RolloutAborted(RolloutAborted { failures: Some(failures) })),
        }
        true
    }

    /// Passes the open stage if it is done, and opens the next or promotes the changes. Whether the rollout has ended.
    fn pass_stage(&mut self, seen: &AdvanceRollout) -> bool {
        let Some(absent) = self.absent_of_done_stage(seen) else { return false };
        let rollout = self.rollout();
        let (Some(stage), Some(policy)) = (rollout.stage, rollout.stage_policy()) else { return false };
        let passed = StagePassed { stage: policy.name.clone(), counts: rollout.open_tally().counts, absent };
        let next = (!rollout.is_in_rest()).then_some(stage + 1);
        self.take(Change::StagePassed(passed));
        match next {
            Some(next) => {
                let opened = opening(&self.state, self.rollout(), next);
                self.take(opened);
                false
            }
            None => {
                self.take(Change::RolloutPromoted);
                true
            }
        }
    }

    /// How many nodes of the open stage are silent and were not released, if the stage is done.
    fn absent_of_done_stage(&self, seen: &AdvanceRollout) -> Option<u32> {
        let rollout = self.rollout();
        let policy = rollout.stage_policy()?;
        let is_baked = self.at >= rollout.settled_at.plus_seconds(policy.bake_s) && seen.baked;
        let is_approved = policy.gate == StageGate::Auto || rollout.open_tally().approved;
        let has_evidence = rollout.confirmed_in_stage() >= policy.at_least;
        if !(rollout.in_flight.is_empty() && has_evidence && is_baked && is_approved) {
            return None;
        }
        let tally = rollout.open_tally();
        if tally.released >= tally.quota {
            return Some(0);
        }
        let left = self.state.left_in_stage(rollout);
        let absent = u32::try_from(left.len()).unwrap_or(u32::MAX);
        let of_all = || u32::try_from(self.state.members(rollout).len()).unwrap_or(u32::MAX);
        let of = if rollout.is_in_rest() { of_all() } else { tally.members };
        let is_silent = left.iter().all(|id| seen.silent.contains(*id));
        (is_silent && rollout.opened.absent_max.allows(absent, of)).then_some(absent)
    }

    /// Releases nodes that were heard, as many as there is room for.
    fn release(&mut self, seen: &AdvanceRollout) {
        let rollout = self.rollout();
        let Some(policy) = rollout.stage_policy() else { return };
        let mut slots = rollout.free_slots();
        let (mut nodes, mut moot) = (Vec::new(), Vec::new());
        for node in in_order(self.id, self.state.releasable(rollout, seen.heard.iter())) {
            if slots == 0 {
                break;
            }
            match self.state.release_effect(self.id, node) {
                Some(ReleaseEffect::Changed(digest)) => {
                    nodes.push(NodeDigest { id: node.clone(), digest });
                    slots -= 1;
                }
                Some(ReleaseEffect::Moot) => moot.push(node.clone()),
                None => {}
            }
        }
        if !(nodes.is_empty() && moot.is_empty()) {
            let stage = policy.name.clone();
            self.take(Change::NodesReleased(Arc::new(NodesReleased { stage, nodes, moot })));
        }
    }
}

/// Nodes in the order in which a rollout releases them: another one for each rollout, so that no node is always the first.
#[must_use]
pub fn in_order<'a>(rollout: &RolloutId, nodes: impl Iterator<Item = &'a NodeId>) -> Vec<&'a NodeId> {
    let mut nodes: Vec<(Digest, &NodeId)> = nodes.map(|node| (order_of(rollout, node), node)).collect();
    nodes.sort_unstable();
    nodes.into_iter().map(|(_, node)| node).collect()
}

fn order_of(rollout: &RolloutId, node: &NodeId) -> Digest {
    Digest::of_parts([rollout.as_str().as_bytes(), &[0], node.as_str().as_bytes()])
}
