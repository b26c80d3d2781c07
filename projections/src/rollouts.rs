//! The folded rollouts: changes of documents that only released nodes get, which nodes these are, and how each of them fared.
//!
//! A document is its proven revision and, while a rollout has it, one staged revision beside it. A node gets the staged revisions of a
//! rollout if the rollout has released it: all of them or none. Of an ended rollout stays how it ended, and nothing else.

use alloc::sync::Arc;
use alloc::vec::Vec;

use imbl::{OrdMap, OrdSet};
use schema::change::DocumentPut;
use schema::entity::Actor;
use schema::id::{DocumentId, NodeId, RolloutId};
use schema::instant::Instant;
use schema::path::DocumentPath;
use schema::position::{Position, Version};
use schema::rollout::{FailureCounts, OutcomeCounts, RolloutOpened, RolloutStage};

use crate::document::Document;
pub use crate::release::{Release, ReleaseOutcome};

/// All rollouts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rollouts {
    pub(crate) open: OrdMap<RolloutId, Rollout>,
    pub(crate) ended: OrdMap<RolloutId, EndedRollout>,
    pub(crate) staged: OrdMap<DocumentId, StagedRevision>,
    /// Where the documents would lie that are staged.
    pub(crate) paths: OrdMap<DocumentPath, OrdSet<DocumentId>>,
    pub(crate) releases: OrdMap<NodeId, OrdMap<RolloutId, Release>>,
    /// What aborted rollouts took back of each document, the oldest first; at most [`WITHDRAWN_MAX`].
    pub(crate) withdrawn: OrdMap<DocumentId, Vec<WithdrawnRevision>>,
    pub(crate) guard: Option<u32>,
}

/// A rollout that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollout {
    /// Its policy.
    pub opened: Arc<RolloutOpened>,
    /// The position of the event that opened it.
    pub opened_at: Position,
    /// What it does.
    pub status: RolloutStatus,
    /// How many events it has had.
    pub version: Version,
    /// The position of the last one.
    pub position: Position,
    /// The time of the last one.
    pub at: Instant,
    /// The documents that it changes.
    pub changes: OrdSet<DocumentId>,
    /// The place of the stage that is open among its stages; none before it is started.
    pub stage: Option<usize>,
    /// What its stages have released, in their order.
    pub stages: Vec<StageTally>,
    /// The nodes that get its changes.
    pub released: OrdSet<NodeId>,
    /// Those of them that have not settled.
    pub in_flight: OrdSet<NodeId>,
    /// Those of them that have settled, and have not confirmed the changes.
    pub unconfirmed: OrdSet<NodeId>,
    /// What became of the others, and of nodes that were released and retired since.
    pub counts: OutcomeCounts,
    /// The failures of nodes that were well when they were released.
    pub failures: FailureCounts,
    /// How many of them the rollout goes on with.
    pub max_failures: u32,
    /// When a node last settled, or the stage was opened, or the rollout was resumed: from then on a stage bakes.
    pub settled_at: Instant,
}

/// What an open rollout does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolloutStatus {
    /// It collects changes, and no node has any.
    Draft,
    /// It releases nodes.
    Running,
    /// A person has paused it, or the log began anew.
    Paused,
    /// It has too many failures.
    Halted,
}

impl RolloutStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Draft, Self::Running, Self::Paused, Self::Halted];

    /// The status in a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Halted => "halted",
        }
    }
}

/// What a stage has released.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageTally {
    /// How many nodes it had when it opened.
    pub members: u32,
    /// How many of them it releases.
    pub quota: u32,
    /// How many it has released.
    pub released: u32,
    /// What became of these.
    pub counts: OutcomeCounts,
    /// Whether a person has approved it.
    pub approved: bool,
}

/// A rollout that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedRollout {
    /// How it ended.
    pub end: RolloutEnd,
    /// How many events it has had.
    pub version: Version,
    /// The position of the last one.
    pub position: Position,
    /// The time of the last one.
    pub at: Instant,
    /// Who ended it.
    pub by: Actor,
    /// Why, in words of whoever ended it.
    pub reason: Option<Arc<str>>,
    /// What became of its nodes.
    pub counts: OutcomeCounts,
    /// The nodes that had failed, at most 100 of them.
    pub failed: Vec<NodeId>,
}

/// How a rollout ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolloutEnd {
    /// Its changes were taken back.
    Aborted,
    /// All its stages passed.
    Promoted,
    /// A person ended its last stage.
    Completed,
}

impl RolloutEnd {
    /// The end in a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::Promoted => "promoted",
            Self::Completed => "completed",
        }
    }
}

/// What a rollout makes of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedRevision {
    /// The rollout.
    pub rollout: RolloutId,
    /// The document as it becomes; none if it is removed.
    pub put: Option<Document>,
    /// The version of the document that the staging made.
    pub version: Version,
    /// The position of the event that staged it.
    pub position: Position,
    /// The position of the proven revision when this one was staged; none if there was none.
    pub base: Option<Position>,
}

/// What an aborted rollout took back of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithdrawnRevision {
    /// The rollout.
    pub rollout: RolloutId,
    /// The document as it would have become; none if it would have been removed.
    pub put: Option<Arc<DocumentPut>>,
}

/// How many of the revisions of a document that aborted rollouts took back are remembered: the last ones. Putting a revision forgets them.
pub(crate) const WITHDRAWN_MAX: usize = 16;

impl Rollouts {
    /// The rollouts that have not ended, by id.
    #[must_use]
    pub fn open(&self) -> &OrdMap<RolloutId, Rollout> {
        &self.open
    }

    /// The rollouts that have ended, by id.
    #[must_use]
    pub fn ended(&self) -> &OrdMap<RolloutId, EndedRollout> {
        &self.ended
    }

    /// What open rollouts make of documents.
    #[must_use]
    pub fn staged(&self) -> &OrdMap<DocumentId, StagedRevision> {
        &self.staged
    }

    /// The documents that are staged at a path, by id.
    pub fn staged_at<'a>(&'a self, path: &DocumentPath) -> impl Iterator<Item = (&'a DocumentId, &'a Document)> {
        let ids = self.paths.get(path).into_iter().flatten();
        ids.filter_map(|id| Some((id, self.staged.get(id)?.put.as_ref()?)))
    }

    /// The releases of a node by open rollouts.
    #[must_use]
    pub fn releases_of(&self, node: &NodeId) -> Option<&OrdMap<RolloutId, Release>> {
        self.releases.get(node)
    }

    /// The release of a node by a rollout.
    #[must_use]
    pub fn release(&self, rollout: &RolloutId, node: &NodeId) -> Option<&Release> {
        self.releases.get(node)?.get(rollout)
    }

    /// Whether a node applies the changes of any rollout now.
    #[must_use]
    pub fn is_in_flight(&self, node: &NodeId) -> bool {
        self.releases.get(node).is_some_and(|releases| releases.values().any(|release| release.in_flight))
    }

    /// What aborted rollouts took back of a document since a revision of it was put, the last one first.
    pub fn withdrawn(&self, document: &DocumentId) -> impl Iterator<Item = &WithdrawnRevision> {
        self.withdrawn.get(document).into_iter().flatten().rev()
    }

    /// The revisions at a path that aborted rollouts took back, by document.
    pub fn withdrawn_at<'a>(
        &'a self,
        path: &DocumentPath,
    ) -> impl Iterator<Item = (&'a DocumentId, &'a WithdrawnRevision)> {
        let all = self.withdrawn.iter().flat_map(|(id, all)| all.iter().map(move |withdrawn| (id, withdrawn)));
        all.filter(move |(_, withdrawn)| withdrawn.put.as_ref().is_some_and(|put| put.path == *path))
    }

    /// Of how many nodes a request may change files without saying `now`; none where there is no limit.
    #[must_use]
    pub fn guard(&self) -> Option<u32> {
        self.guard
    }

    /// What a rollout that was started makes of a document. A draft is in nobody's way.
    #[must_use]
    pub fn underway(&self, document: &DocumentId) -> Option<&StagedRevision> {
        let staged = self.staged.get(document)?;
        self.open.get(&staged.rollout).is_some_and(|rollout| rollout.status != RolloutStatus::Draft).then_some(staged)
    }

    /// What the rollouts that have released a node make of documents.
    pub(crate) fn staged_for<'a>(
        &'a self,
        releases: &'a OrdMap<RolloutId, Release>,
    ) -> impl Iterator<Item = (&'a DocumentId, &'a StagedRevision)> {
        let changes = releases.keys().filter_map(|id| self.open.get(id)).flat_map(|rollout| rollout.changes.iter());
        changes.filter_map(|id| self.staged.get_key_value(id))
    }

    /// The version of a document that a staging made.
    pub(crate) fn staged_version(&self, document: &DocumentId) -> Option<Version> {
        self.staged.get(document).map(|staged| staged.version)
    }

    pub(crate) fn version(&self, id: &RolloutId) -> Option<Version> {
        let open = self.open.get(id).map(|rollout| rollout.version);
        open.or_else(|| self.ended.get(id).map(|ended| ended.version))
    }
}

impl Rollout {
    /// The policy of the open stage.
    #[must_use]
    pub fn stage_policy(&self) -> Option<&RolloutStage> {
        self.stage.map(|index| &self.opened.stages[index])
    }

    /// What the open stage has released.
    #[must_use]
    pub fn open_tally(&self) -> StageTally {
        self.stage.map(|index| self.stages[index]).unwrap_or_default()
    }

    /// How many more nodes may be released now: those that the open stage still releases, as far as they may be in flight. Where all that it
    /// released have settled, and too few of them have confirmed, others are released in the place of those that did not.
    #[must_use]
    pub fn free_slots(&self) -> u32 {
        let Some(policy) = self.stage_policy() else { return 0 };
        let in_flight = u32::try_from(self.in_flight.len()).unwrap_or(u32::MAX);
        let StageTally { quota, released, .. } = self.open_tally();
        let left = match quota.saturating_sub(released) {
            0 if in_flight == 0 => policy.at_least.saturating_sub(self.confirmed_in_stage()),
            left => left,
        };
        self.opened.max_in_flight.saturating_sub(in_flight).min(left)
    }

    /// Whether the open stage is the last one.
    #[must_use]
    pub fn is_in_rest(&self) -> bool {
        self.stage.is_some_and(|index| index + 1 == self.opened.stages.len())
    }

    /// Whether it has more failures than it goes on with.
    #[must_use]
    pub fn has_too_many_failures(&self) -> bool {
        self.failures.total() > self.max_failures
    }

    /// How many nodes have confirmed the changes as evidence of the open stage. The last stage is all nodes, also those that earlier stages
    /// released.
    #[must_use]
    pub fn confirmed_in_stage(&self) -> u32 {
        match self.stage {
            Some(_) if self.is_in_rest() => self.counts.confirmed,
            _ => self.open_tally().counts.confirmed,
        }
    }

    /// Counts what became of a node. A failure stays counted, whatever becomes of the node later, until the node itself confirms.
    pub(crate) fn settle(&mut self, node: &NodeId, release: &mut Release, outcome: ReleaseOutcome, at: Instant) {
        self.in_flight.remove(node);
        let (was_in_flight, before) = (core::mem::take(&mut release.in_flight), release.outcome);
        let stays = before.is_some_and(ReleaseOutcome::is_failure)
            && !(outcome.is_failure() || outcome == ReleaseOutcome::Confirmed);
        if before == Some(outcome) || stays {
            if was_in_flight {
                self.settled_at = at;
            }
            return;
        }
        match outcome {
            ReleaseOutcome::Confirmed => self.unconfirmed.remove(node),
            _ => self.unconfirmed.insert(node.clone()),
        };
        self.count(release, before, false);
        self.count(release, Some(outcome), true);
        release.outcome = Some(outcome);
        // The rollout changes nothing on this node, before and after, so that the bake of its stage goes on.
        let is_unconcerned = before.is_some_and(ReleaseOutcome::is_unconcerned) && outcome.is_unconcerned();
        if was_in_flight || !is_unconcerned {
            self.settled_at = at;
        }
    }

    fn count(&mut self, release: &Release, outcome: Option<ReleaseOutcome>, more: bool) {
        let Some(outcome) = outcome else { return };
        let add = |count: &mut u32| *count = if more { count.saturating_add(1) } else { count.saturating_sub(1) };
        add(outcome.of(&mut self.counts));
        if let Some(stage) = self.stages.get_mut(release.stage) {
            add(outcome.of(&mut stage.counts));
        }
        if !release.unwell
            && let Some(failures) = outcome.of_failures(&mut self.failures)
        {
            add(failures);
        }
    }
}
