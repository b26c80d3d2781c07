//! What is asked of rollouts: who belongs to a stage, who may be released, and when something follows by itself.

use alloc::vec::Vec;

use schema::id::{NodeId, RolloutId};
use schema::instant::Instant;
use schema::path::DocumentPath;
use schema::rollout::StageGate;

use crate::configuration::Configuration;
use crate::fold::is_unwell;
use crate::rollouts::{ReleaseOutcome, Rollout, RolloutStatus};

/// What a rollout waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolloutWait {
    /// What it waits for.
    pub reason: WaitReason,
    /// Until when at most, where a clock ends it.
    pub until: Option<Instant>,
    /// The nodes that it waits for, where it waits for nodes.
    pub nodes: Vec<NodeId>,
}

/// What a rollout that was started can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// Nodes apply its changes.
    Settle,
    /// The open stage proves itself by time.
    Bake,
    /// A person approves the open stage.
    Approval,
    /// Too many nodes are silent.
    Offline,
    /// Too few nodes have confirmed the changes, and there are no more to release.
    Evidence,
    /// Nodes apply the changes of another rollout.
    OtherRollout,
    /// Nodes are on their way to what was desired before, or rejected that.
    Busy,
    /// A person has paused it, or the log began anew.
    Paused,
    /// It has too many failures.
    Halted,
}

impl WaitReason {
    /// The reason in a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Settle => "settle",
            Self::Bake => "bake",
            Self::Approval => "approval",
            Self::Offline => "offline",
            Self::Evidence => "evidence",
            Self::OtherRollout => "other_rollout",
            Self::Busy => "busy",
            Self::Paused => "paused",
            Self::Halted => "halted",
        }
    }
}

impl Configuration {
    /// Whether a stage of a rollout is for a node, as its labels are now.
    #[must_use]
    pub fn is_in_stage(&self, rollout: &Rollout, index: usize, id: &NodeId) -> bool {
        let select = rollout.opened.stages[index].select.as_ref();
        select.is_none_or(|target| self.nodes().get(id).is_some_and(|node| target.matches(id, &node.labels)))
    }

    /// Those of these nodes that the open stage of a rollout may release, unless they are busy with what they have.
    ///
    /// A node that a verdict stands against waits for the last stage: its failure there says nothing about the changes, and what it gets may
    /// be what mends it.
    pub fn releasable<'a>(
        &'a self,
        rollout: &'a Rollout,
        nodes: impl Iterator<Item = &'a NodeId>,
    ) -> impl Iterator<Item = &'a NodeId> {
        let stage = rollout.stage;
        let is_in_rest = rollout.is_in_rest();
        // Who was barred just now may still be heard by those who look, and can't get the changes.
        let is_admitted = |id: &NodeId| self.nodes().get(id).is_some_and(|node| !node.access.is_barred());
        let may_be = move |id: &&NodeId| {
            let is_well = || self.reports().get(*id).is_none_or(|noted| !is_unwell(&noted.summary));
            !rollout.released.contains(*id)
                && !self.rollouts().is_in_flight(id)
                && stage.is_some_and(|index| self.is_in_stage(rollout, index, id))
                && self.is_member(rollout, id)
                && is_admitted(id)
                && (is_in_rest || is_well())
        };
        nodes.filter(may_be)
    }

    /// The nodes of the open stage that were not released, whatever keeps them from it.
    #[must_use]
    pub fn left_in_stage<'a>(&'a self, rollout: &'a Rollout) -> Vec<&'a NodeId> {
        let Some(stage) = rollout.stage else { return Vec::new() };
        let is_left = |id: &&NodeId| !rollout.released.contains(*id) && self.is_in_stage(rollout, stage, id);
        self.members(rollout).into_iter().filter(is_left).collect()
    }

    /// The rollout that was started, changes what a node has at a path, and has not released the node; none if there is none.
    #[must_use]
    pub fn rollout_awaited(&self, id: &NodeId, path: &DocumentPath) -> Option<&RolloutId> {
        let node = self.nodes().get(id).filter(|node| !node.retired)?;
        let rollouts = self.rollouts();
        let becomes = rollouts.staged_at(path);
        let is = self.documents_at(path);
        let fitting = becomes.chain(is).filter(|(_, document)| document.put.target.matches(id, &node.labels));
        let mut underway = fitting.filter_map(|(document, _)| rollouts.underway(document));
        underway.find(|staged| rollouts.release(&staged.rollout, id).is_none()).map(|staged| &staged.rollout)
    }

    /// What a rollout waits for at the moment, with the nodes that it waits for; nothing for a draft. `is_heard` says whether a node was heard
    /// lately, `now` is the time.
    #[must_use]
    pub fn waiting(&self, id: &RolloutId, now: Instant, is_heard: impl Fn(&NodeId) -> bool) -> Option<RolloutWait> {
        let rollout = self.rollouts().open().get(id)?;
        let policy = rollout.stage_policy()?;
        let wait = |reason, until, nodes: Vec<NodeId>| Some(RolloutWait { reason, until, nodes });
        match rollout.status {
            RolloutStatus::Draft => return None,
            RolloutStatus::Paused => return wait(WaitReason::Paused, None, Vec::new()),
            RolloutStatus::Halted => return wait(WaitReason::Halted, None, self.failed_nodes(id, rollout)),
            RolloutStatus::Running => {}
        }
        if !rollout.in_flight.is_empty() {
            let over = self.next_due(id);
            return wait(WaitReason::Settle, over, rollout.in_flight.iter().cloned().collect());
        }
        let tally = rollout.open_tally();
        if tally.released < tally.quota {
            let left = self.left_in_stage(rollout);
            let (heard, silent): (Vec<&NodeId>, Vec<&NodeId>) = left.into_iter().partition(|id| is_heard(id));
            let named = |nodes: &[&NodeId]| nodes.iter().map(|id| (*id).clone()).collect::<Vec<_>>();
            let elsewhere: Vec<&NodeId> = heard.iter().filter(|id| self.rollouts().is_in_flight(id)).copied().collect();
            if !elsewhere.is_empty() {
                return wait(WaitReason::OtherRollout, None, named(&elsewhere));
            }
            if !heard.is_empty() {
                return wait(WaitReason::Busy, None, named(&heard));
            }
            let count = |nodes: usize| u32::try_from(nodes).unwrap_or(u32::MAX);
            let of = if rollout.is_in_rest() { count(self.members(rollout).len()) } else { tally.members };
            if !rollout.opened.absent_max.allows(count(silent.len()), of) {
                return wait(WaitReason::Offline, None, named(&silent));
            }
        }
        if rollout.confirmed_in_stage() < policy.at_least {
            return wait(WaitReason::Evidence, None, Vec::new());
        }
        let baked = rollout.settled_at.plus_seconds(policy.bake_s);
        // Whoever approves a stage should see that it is proven.
        match policy.gate == StageGate::Auto || tally.approved {
            false if now >= baked => wait(WaitReason::Approval, None, Vec::new()),
            _ => wait(WaitReason::Bake, Some(baked), Vec::new()),
        }
    }

    pub(crate) fn failed_nodes(&self, id: &RolloutId, rollout: &Rollout) -> Vec<NodeId> {
        let outcome = |node: &NodeId| self.rollouts().release(id, node)?.outcome;
        let failed = |node: &&NodeId| outcome(node).is_some_and(ReleaseOutcome::is_failure);
        rollout.released.iter().filter(failed).cloned().collect()
    }

    /// When something may follow for a rollout although nobody says anything: a node is overdue, or the open stage has baked.
    #[must_use]
    pub fn next_due(&self, id: &RolloutId) -> Option<Instant> {
        let rollout = self.rollouts().open().get(id)?;
        let policy = rollout.stage_policy()?;
        let release = |node: &NodeId| self.rollouts().release(id, node);
        let over = rollout.in_flight.iter().filter_map(release).map(|release| release.at);
        let over = over.min().map(|at| at.plus_seconds(rollout.opened.settle_s));
        let is_baking = rollout.in_flight.is_empty() && rollout.status == RolloutStatus::Running;
        let baked = is_baking.then(|| rollout.settled_at.plus_seconds(policy.bake_s));
        over.into_iter().chain(baked).min()
    }
}
