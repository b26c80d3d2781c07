//! What a rollout would do that is about to start: how many nodes each stage has and which come first, and what stands in the way.
//!
//! It says what is so now. Who is heard, and what nodes run, changes while a rollout runs.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use schema::digest::Digest;
use schema::id::{Id, LogId, NodeId, RolloutId};

use crate::configuration::Configuration;
use crate::decide::in_order;
use crate::fold::{is_unwell, rejected};
use crate::render::render;
use crate::rollouts::Rollout;

/// What a rollout would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolloutForecast {
    /// How many nodes its changes are for.
    pub members: usize,
    /// Its stages, in their order.
    pub stages: Vec<StageForecast>,
    /// Seconds for which its stages bake together: it takes longer than that.
    pub bake_s: u64,
    /// The node whose record becomes the largest, and its bytes; none if there are no members.
    pub largest_record: Option<(NodeId, usize)>,
    /// The members that something is to be said of.
    pub apart: MembersApart,
}

/// A stage as it would go if nothing came between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageForecast {
    /// Its name.
    pub name: Id,
    /// How many nodes it would have that no stage before it releases.
    pub members: u32,
    /// How many of them it would release.
    pub quota: u32,
    /// Those of its nodes that could be released now, in the order in which they would be: as many as the quota, and among them such on which
    /// nothing changes.
    pub first: Vec<NodeId>,
}

/// Members that something is to be said of. Each list is in order, and a node may be in several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MembersApart {
    /// The changes change nothing on them.
    pub moot: Vec<NodeId>,
    /// They are not heard.
    pub offline: Vec<NodeId>,
    /// They rejected what they have to run, so that only the last stage releases them.
    pub unwell: Vec<NodeId>,
    /// They are on their way to what is desired of them already, and are released when they run it.
    pub busy: Vec<NodeId>,
    /// They apply the changes of another rollout.
    pub in_other_rollout: Vec<NodeId>,
    /// They rejected exactly what they would get, and would not try it again.
    pub rejected: Vec<NodeId>,
}

impl Configuration {
    /// What a rollout would do that has released nobody yet; none if there is no such open rollout. `is_heard` says whether a node was heard
    /// lately.
    #[must_use]
    pub fn forecast(
        &self,
        id: &RolloutId,
        log_id: LogId,
        is_heard: impl Fn(&NodeId) -> bool,
    ) -> Option<RolloutForecast> {
        let rollout = self.rollouts().open().get(id)?;
        let members = self.members(rollout);
        let mut apart = MembersApart::default();
        let mut largest: Option<(&NodeId, usize)> = None;
        for node in &members {
            let manifest = render(&self.released(id, node), node)?;
            self.tell_apart(&mut apart, node, manifest.digest, is_heard(node));
            let bytes = manifest.record_bytes(log_id);
            if largest.is_none_or(|(_, most)| bytes > most) {
                largest = Some((node, bytes));
            }
        }
        Some(RolloutForecast {
            members: members.len(),
            stages: self.forecast_stages(id, rollout, &members, &apart),
            bake_s: rollout.opened.stages.iter().map(|stage| u64::from(stage.bake_s)).sum(),
            largest_record: largest.map(|(node, bytes)| (node.clone(), bytes)),
            apart,
        })
    }

    fn tell_apart(&self, apart: &mut MembersApart, node: &NodeId, becomes: Digest, is_heard: bool) {
        let settled = self.settled_digest(node);
        let summary = self.reports().get(node).map(|noted| &*noted.summary);
        let facts = [
            (&mut apart.moot, settled == Some(becomes)),
            // Who was barred just now may still be heard, and can't get the changes.
            (&mut apart.offline, !is_heard || self.nodes().get(node).is_some_and(|node| node.access.is_barred())),
            (&mut apart.unwell, summary.is_some_and(is_unwell)),
            (&mut apart.busy, settled.is_none()),
            (&mut apart.in_other_rollout, self.rollouts().is_in_flight(node)),
            (&mut apart.rejected, summary.and_then(rejected) == Some(becomes)),
        ];
        for (list, _) in facts.into_iter().filter(|(_, is_so)| *is_so) {
            list.push(node.clone());
        }
    }

    /// The stages one after the other: what a stage releases is not left for the next one.
    fn forecast_stages(
        &self,
        id: &RolloutId,
        rollout: &Rollout,
        members: &BTreeSet<&NodeId>,
        apart: &MembersApart,
    ) -> Vec<StageForecast> {
        let kept: BTreeSet<&NodeId> =
            [&apart.offline, &apart.busy, &apart.in_other_rollout].into_iter().flatten().collect();
        let (unwell, moot): (BTreeSet<&NodeId>, BTreeSet<&NodeId>) =
            (apart.unwell.iter().collect(), apart.moot.iter().collect());
        let mut left = in_order(id, members.iter().copied());
        let last = rollout.opened.stages.len() - 1;
        let stage = |(index, policy): (usize, &schema::rollout::RolloutStage)| {
            let is_in = |node: &&NodeId| self.is_in_stage(rollout, index, node);
            let members = u32::try_from(left.iter().copied().filter(|node| is_in(node)).count()).unwrap_or(u32::MAX);
            let quota = policy.up_to.of(members);
            let is_ready = |node: &&NodeId| !kept.contains(*node) && (index == last || !unwell.contains(*node));
            let ready = left.iter().copied().filter(|node| is_in(node) && is_ready(node));
            let mut slots = quota;
            let first = ready.take_while(|node| {
                let is_taken = slots > 0;
                slots -= u32::from(is_taken && !moot.contains(*node));
                is_taken
            });
            let first: Vec<NodeId> = first.cloned().collect();
            let released: BTreeSet<&NodeId> = first.iter().collect();
            left.retain(|node| !released.contains(*node));
            StageForecast { name: policy.name.clone(), members, quota, first }
        };
        rollout.opened.stages.iter().enumerate().map(stage).collect()
    }
}
