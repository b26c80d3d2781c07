//! Folding of rollouts. Only what names a node, or ends a rollout, touches a record: a stage that opens or passes touches none.

use alloc::sync::Arc;
use alloc::vec::Vec;

use schema::change::{Change, DocumentPut};
use schema::entity::{Actor, Entity};
use schema::event::Event;
use schema::id::{DocumentId, NodeId, RolloutId};
use schema::instant::Instant;
use schema::labels::Labels;
use schema::position::{Position, Version};
use schema::rollout::{NodeDigest, NodesReleased, RolloutOpened, StageOpened};

use super::AffectedNodes;
use super::release_verdict::{is_unwell, judged};
use crate::configuration::{Configuration, Document, Promotion};
use crate::rollouts::{
    EndedRollout, Release, ReleaseOutcome, Rollout, RolloutEnd, RolloutStatus, StageTally, StagedRevision,
    WITHDRAWN_MAX, WithdrawnRevision,
};
use crate::selector_index;

/// Where and when something happens to a rollout: what of an event the fold of rollouts needs. A decision that has several steps makes them
/// up for the events that it will have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RolloutMoment<'a> {
    pub(crate) entity: &'a Entity,
    pub(crate) position: Position,
    pub(crate) version: Version,
    pub(crate) at: Instant,
    pub(crate) by: &'a Actor,
    pub(crate) reason: Option<&'a str>,
}

impl<'a> From<&'a Event> for RolloutMoment<'a> {
    fn from(event: &'a Event) -> Self {
        let Event { entity, position, version, at, actor: by, reason, .. } = event;
        Self { entity, position: *position, version: *version, at: *at, by, reason: reason.as_deref() }
    }
}

/// Nodes that failed, of which the state remembers so many when a rollout has ended.
const FAILED_KEPT_MAX: usize = 100;

impl Configuration {
    pub(crate) fn apply_rollout_change(&mut self, moment: RolloutMoment<'_>, change: &Change) -> AffectedNodes {
        let id = RolloutId::from(moment.entity.id.clone());
        let affected = match change {
            Change::DocumentStaged(staged) => {
                return self.stage_document(moment, &staged.rollout, Some(&staged.put));
            }
            Change::RemovalStaged(staged) => return self.stage_document(moment, &staged.rollout, None),
            Change::GuardSet(set) => {
                self.rollouts.guard = set.nodes_max;
                return AffectedNodes::new();
            }
            Change::RolloutOpened(opened) => {
                self.rollouts.open.insert(id.clone(), drafted(moment, opened));
                AffectedNodes::new()
            }
            Change::NodesReleased(released) => self.release_nodes(&id, moment, released),
            Change::RolloutAborted(_) => return self.end_rollout(&id, moment, RolloutEnd::Aborted),
            Change::RolloutPromoted => return self.end_rollout(&id, moment, RolloutEnd::Promoted),
            Change::RolloutCompleted => return self.end_rollout(&id, moment, RolloutEnd::Completed),
            Change::NodesExpected(expected) => {
                let nodes = &expected.nodes;
                nodes.iter().for_each(|node| self.expect_of_node(&id, moment, node));
                self.settle_all(&id, &expected.shadowed, ReleaseOutcome::Shadowed, moment.at);
                for node in &expected.shadowed {
                    self.with_release(&id, node, |_, release| release.known = moment.position);
                }
                AffectedNodes::new()
            }
            Change::NodesOverdue(overdue) => {
                self.settle_all(&id, &overdue.late, ReleaseOutcome::Late, moment.at);
                self.settle_all(&id, &overdue.lost, ReleaseOutcome::Lost, moment.at);
                AffectedNodes::new()
            }
            _ => {
                self.steer(&id, moment, change);
                AffectedNodes::new()
            }
        };
        if let Some(rollout) = self.rollouts.open.get_mut(&id) {
            (rollout.version, rollout.position, rollout.at) = (moment.version, moment.position, moment.at);
        }
        affected
    }

    /// Applies what changes a rollout alone.
    fn steer(&mut self, id: &RolloutId, moment: RolloutMoment<'_>, change: &Change) {
        let Some(rollout) = self.rollouts.open.get_mut(id) else { return };
        match change {
            Change::RolloutStarted => rollout.status = RolloutStatus::Running,
            Change::RolloutPaused => rollout.status = RolloutStatus::Paused,
            Change::RolloutHalted(_) => rollout.status = RolloutStatus::Halted,
            Change::RolloutResumed(resumed) => {
                rollout.status = RolloutStatus::Running;
                rollout.max_failures = resumed.max_failures.map_or(rollout.max_failures, |limit| limit.count);
                // Paused time is no bake.
                rollout.settled_at = moment.at;
            }
            Change::StageOpened(opened) => {
                open_stage(rollout, opened, moment.at);
            }
            Change::StageApproved(_) => {
                if let Some(stage) = rollout.stage {
                    rollout.stages[stage].approved = true;
                }
            }
            _ => {}
        }
    }

    /// The log goes on elsewhere: whoever looks after it decides whether its rollouts do.
    pub(super) fn pause_rollouts(&mut self) {
        let running = |(_, rollout): &(&RolloutId, &Rollout)| rollout.status == RolloutStatus::Running;
        let running: Vec<RolloutId> = self.rollouts.open.iter().filter(running).map(|(id, _)| id.clone()).collect();
        for id in running {
            if let Some(rollout) = self.rollouts.open.get_mut(&id) {
                rollout.status = RolloutStatus::Paused;
            }
        }
    }

    fn stage_document(
        &mut self,
        moment: RolloutMoment<'_>,
        rollout: &RolloutId,
        put: Option<&DocumentPut>,
    ) -> AffectedNodes {
        let id = DocumentId::from(moment.entity.id.clone());
        self.unstage(&id);
        if let Some(put) = put {
            selector_index::insert(&mut self.rollouts.paths, &put.path, &id);
        }
        let (version, position, at) = (moment.version, moment.position, moment.at);
        let put = put.map(|put| Document { put: Arc::new(put.clone()), version, position, at, promoted: None });
        let base = self.documents.get(&id).map(|document| document.position);
        let staged = StagedRevision { rollout: rollout.clone(), put, version, position, base };
        self.rollouts.staged.insert(id.clone(), staged);
        if let Some(rollout) = self.rollouts.open.get_mut(rollout) {
            rollout.changes.insert(id);
        }
        AffectedNodes::new()
    }

    /// Takes the staged revision of a document out of the indexes.
    fn unstage(&mut self, id: &DocumentId) -> Option<StagedRevision> {
        let staged = self.rollouts.staged.remove(id)?;
        if let Some(document) = &staged.put {
            selector_index::remove(&mut self.rollouts.paths, &document.put.path, id);
        }
        Some(staged)
    }

    fn release_nodes(&mut self, id: &RolloutId, moment: RolloutMoment<'_>, released: &NodesReleased) -> AffectedNodes {
        let (position, at) = (moment.position, moment.at);
        let stage = self.rollouts.open.get(id).and_then(|rollout| rollout.stage).unwrap_or_default();
        for NodeDigest { id: node, digest } in &released.nodes {
            let unwell = self.reports.get(node).is_some_and(|noted| is_unwell(&noted.summary));
            let expected = Vec::from([*digest]);
            self.add_release(id, node, Release { unwell, expected, ..Release::new(position, at, stage) });
        }
        for node in &released.moot {
            self.add_release(id, node, Release::new(position, at, stage));
        }
        self.settle_all(id, &released.moot, ReleaseOutcome::Moot, at);
        let all = released.nodes.iter().map(|node| &node.id).chain(&released.moot);
        self.known(all.cloned())
    }

    fn add_release(&mut self, id: &RolloutId, node: &NodeId, release: Release) {
        let Some(rollout) = self.rollouts.open.get_mut(id) else { return };
        rollout.released.insert(node.clone());
        rollout.in_flight.insert(node.clone());
        // A node on which nothing changes takes no place of another one.
        if !release.expected.is_empty()
            && let Some(stage) = rollout.stages.get_mut(release.stage)
        {
            stage.released += 1;
        }
        self.rollouts.releases.entry(node.clone()).or_default().insert(id.clone(), release);
    }

    /// Another digest by which a node confirms the changes. Its last report may have it already.
    fn expect_of_node(&mut self, id: &RolloutId, moment: RolloutMoment<'_>, node: &NodeDigest) {
        let summary = self.reports.get(&node.id).map(|noted| Arc::clone(&noted.summary));
        // The node may have had this record, and rejected it, before anybody looked.
        let touched = self.nodes.get(&node.id).map_or(moment.position, |known| known.cause.position);
        self.with_release(id, &node.id, |rollout, release| {
            release.expected.retain(|known| *known != node.digest);
            release.expected.push(node.digest);
            release.known = moment.position;
            // Nothing of the rollout was in force there, and now something is.
            if release.outcome.is_some_and(ReleaseOutcome::is_unconcerned) && !release.in_flight {
                rollout.in_flight.insert(node.id.clone());
                release.in_flight = true;
                (release.position, release.at) = (touched, moment.at);
            }
            if let Some(outcome) = summary.and_then(|summary| judged(release, &summary)) {
                rollout.settle(&node.id, release, outcome, moment.at);
            }
        });
    }

    fn settle_all(&mut self, id: &RolloutId, nodes: &[NodeId], outcome: ReleaseOutcome, at: Instant) {
        for node in nodes {
            self.with_release(id, node, |rollout, release| rollout.settle(node, release, outcome, at));
        }
    }

    pub(super) fn with_release(
        &mut self,
        id: &RolloutId,
        node: &NodeId,
        change: impl FnOnce(&mut Rollout, &mut Release),
    ) {
        let rollout = self.rollouts.open.get_mut(id);
        let release = self.rollouts.releases.get_mut(node).and_then(|releases| releases.get_mut(id));
        if let (Some(rollout), Some(release)) = (rollout, release) {
            change(rollout, release);
        }
    }

    /// A node whose labels change, so that other changes of a rollout are for it, has to confirm these as well.
    pub(super) fn relabel_releases(
        &mut self,
        node: &NodeId,
        before: &Labels,
        now: &Labels,
        position: Position,
        at: Instant,
    ) {
        let Some(releases) = self.rollouts.releases.get(node) else { return };
        let differs = |id: &RolloutId| {
            let changes = self.rollouts.open.get(id).into_iter().flat_map(|rollout| rollout.changes.iter());
            let staged = changes.filter_map(|document| self.rollouts.staged.get_key_value(document));
            staged.into_iter().any(|(document, staged)| {
                let base = self.documents.get(document);
                let puts = [staged.put.as_ref(), base];
                puts.into_iter()
                    .flatten()
                    .any(|Document { put, .. }| put.target.matches(node, before) != put.target.matches(node, now))
            })
        };
        // Whom the changes are not for any more has nothing to confirm; what it had not confirmed is lost by the next look.
        let is_for =
            |id: &RolloutId| self.rollouts.open.get(id).is_some_and(|rollout| self.would_be_member(rollout, node, now));
        let again: Vec<RolloutId> = releases.keys().filter(|id| differs(id) && is_for(id)).cloned().collect();
        for id in again {
            self.with_release(&id, node, |rollout, release| {
                rollout.in_flight.insert(node.clone());
                release.in_flight = true;
                release.expected.clear();
                (release.position, release.known, release.at) = (position, position.previous(), at);
            });
        }
    }

    /// A node that is retired leaves every rollout. What was counted stays; what it had not confirmed is lost.
    pub(super) fn leave_rollouts(&mut self, node: &NodeId, at: Instant) {
        let Some(releases) = self.rollouts.releases.remove(node) else { return };
        for (id, mut release) in releases {
            let Some(rollout) = self.rollouts.open.get_mut(&id) else { continue };
            if release.in_flight {
                rollout.settle(node, &mut release, ReleaseOutcome::Lost, at);
            }
            rollout.released.remove(node);
            rollout.unconfirmed.remove(node);
        }
    }

    fn end_rollout(&mut self, id: &RolloutId, moment: RolloutMoment<'_>, end: RolloutEnd) -> AffectedNodes {
        let Some(rollout) = self.rollouts.open.get(id).cloned() else { return AffectedNodes::new() };
        let affected = match end {
            RolloutEnd::Aborted => self.known(rollout.released.iter().cloned()),
            RolloutEnd::Promoted | RolloutEnd::Completed => {
                let left = self.members(&rollout).into_iter().filter(|node| !rollout.released.contains(*node));
                left.cloned().collect()
            }
        };
        for document in &rollout.changes {
            let entity = Entity::from(document);
            // The document's version goes on, whichever of its revisions stays.
            let version = self.version(&entity);
            let Some(staged) = self.unstage(document) else { continue };
            match end {
                // A draft took nothing back: no node ever had it.
                RolloutEnd::Aborted if rollout.stage.is_none() => {}
                RolloutEnd::Aborted => self.withdraw_revision(id, document, &staged),
                RolloutEnd::Promoted | RolloutEnd::Completed => {
                    let promotion = Promotion { opened: rollout.opened_at, position: moment.position };
                    self.promote_revision(document, &staged, promotion);
                }
            }
            if !self.documents.contains_key(document) {
                self.bundles.end_membership(&entity);
            }
            if self.recorded(&entity) != Some(version) {
                self.versions.insert(entity, version);
            }
        }
        let failed = self.failed_nodes(id, &rollout).into_iter().take(FAILED_KEPT_MAX).collect();
        for node in &rollout.released {
            if let Some(releases) = self.rollouts.releases.get_mut(node) {
                releases.remove(id);
                if releases.is_empty() {
                    self.rollouts.releases.remove(node);
                }
            }
        }
        self.rollouts.open.remove(id);
        let (version, position, at) = (moment.version, moment.position, moment.at);
        let (by, reason, counts) = (moment.by.clone(), moment.reason.map(Arc::from), rollout.counts);
        self.rollouts.ended.insert(id.clone(), EndedRollout { end, version, position, at, by, reason, counts, failed });
        affected
    }

    fn withdraw_revision(&mut self, rollout: &RolloutId, document: &DocumentId, staged: &StagedRevision) {
        let put = staged.put.as_ref().map(|Document { put, .. }| Arc::clone(put));
        let all = self.rollouts.withdrawn.entry(document.clone()).or_default();
        if all.len() == WITHDRAWN_MAX {
            all.remove(0);
        }
        all.push(WithdrawnRevision { rollout: rollout.clone(), put });
    }

    fn promote_revision(&mut self, id: &DocumentId, staged: &StagedRevision, promotion: Promotion) {
        let position = promotion.position;
        match &staged.put {
            Some(document) => {
                let document = Document { promoted: Some(Arc::new(promotion)), ..document.clone() };
                self.replace_document(id, document, position);
            }
            None => drop(self.remove_document(id, position)),
        }
    }
}

fn drafted(moment: RolloutMoment<'_>, opened: &Arc<RolloutOpened>) -> Rollout {
    Rollout {
        opened: Arc::clone(opened),
        opened_at: moment.position,
        status: RolloutStatus::Draft,
        version: moment.version,
        position: moment.position,
        at: moment.at,
        changes: imbl::OrdSet::new(),
        stage: None,
        stages: alloc::vec![StageTally::default(); opened.stages.len()],
        released: imbl::OrdSet::new(),
        in_flight: imbl::OrdSet::new(),
        unconfirmed: imbl::OrdSet::new(),
        counts: schema::rollout::OutcomeCounts::default(),
        failures: schema::rollout::FailureCounts::default(),
        max_failures: opened.max_failures.count,
        settled_at: moment.at,
    }
}

fn open_stage(rollout: &mut Rollout, opened: &StageOpened, at: Instant) {
    let Some(index) = rollout.opened.stages.iter().position(|stage| stage.name == opened.stage) else { return };
    let StageOpened { members, quota, .. } = *opened;
    rollout.stages[index] = StageTally { members, quota, ..StageTally::default() };
    rollout.stage = Some(index);
    rollout.settled_at = at;
}
