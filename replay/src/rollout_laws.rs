//! The laws of rollouts, checked on a log that is true: whatever a rollout did by itself followed from what the log knew then.
//!
//! That a log is true says who wrote what. It does not say that the server which wrote it kept its own rules; this does. A pure function
//! of an event and the states around it.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use projections::configuration::Configuration;
use projections::render::render;
use projections::rollouts::{Rollout, RolloutStatus};
use schema::change::Change;
use schema::digest::Digest;
use schema::event::Event;
use schema::id::{NodeId, RolloutId};
use schema::position::Position;
use schema::rollout::{FailureCounts, NodesExpected, NodesReleased, StageGate, StageOpened, StagePassed};

/// A law that an event of a rollout breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LawBreach {
    /// The position of the event.
    pub position: Position,
    /// The rollout.
    pub rollout: RolloutId,
    /// The stable name of the law.
    pub law: &'static str,
    /// What is wrong, in words.
    pub detail: String,
}

/// The laws, with a sentence for each.
pub const LAWS: [(&str, &str); 10] = [
    ("released_digest", "a node is released to exactly what its record becomes, and is moot only if nothing changes"),
    (
        "released_nodes",
        "only nodes that may be released are: of the stage, in no flight, well before the last stage, while it runs",
    ),
    ("released_count", "no more nodes are released than there is room for"),
    (
        "expected",
        "a node confirms by its own record only, and is shadowed only where nothing of the rollout is in force",
    ),
    (
        "stage_opened",
        "a stage opens when the one before it has passed, with the nodes that it has and the quota that follows",
    ),
    (
        "stage_passed",
        "a stage passes by evidence, after its bake and approval, with nobody in flight and not too many absent",
    ),
    ("promoted", "a rollout is promoted only when its last stage has just passed"),
    ("completed", "a rollout is completed only in its last stage, by evidence, after its bake and approval"),
    ("failures", "a rollout stops by itself only over the failures that the log has"),
    ("overdue", "a node is late or lost only after its time, or when the changes are not for it any more"),
];

/// The laws over the events of a log so far.
#[derive(Clone, Debug, Default)]
pub struct RolloutLaws {
    checked: BTreeMap<&'static str, u64>,
    breaches: Vec<LawBreach>,
    /// The last event, and the rollout that it is about, to know what stands directly before another one.
    last: Option<(Position, RolloutId, &'static str)>,
}

impl RolloutLaws {
    /// How often each law was checked.
    #[must_use]
    pub fn checked(&self) -> &BTreeMap<&'static str, u64> {
        &self.checked
    }

    /// The breaches, in the order of the log.
    #[must_use]
    pub fn breaches(&self) -> &[LawBreach] {
        &self.breaches
    }

    /// Checks an event of a rollout between the states around it; others say nothing.
    pub fn take(&mut self, event: &Event, change: &Change, before: &Configuration, after: &Configuration) {
        let id = RolloutId::from(event.entity.id.clone());
        let last = self.last.replace((event.position, id.clone(), change.event_type()));
        let is_before =
            |(position, rollout, _): &(Position, RolloutId, _)| position.next() == event.position && *rollout == id;
        let follows = last.filter(is_before).map(|(_, _, change)| change);
        let Some(rollout) = before.rollouts().open().get(&id) else { return };
        let case = Case { event, id: &id, rollout, before, after };
        let found: Vec<(&'static str, Option<String>)> = match change {
            Change::NodesReleased(released) => case.released(released),
            Change::NodesExpected(expected) => Vec::from([("expected", case.expected(expected))]),
            Change::StageOpened(opened) => Vec::from([("stage_opened", case.opened(opened, follows))]),
            Change::StagePassed(passed) => Vec::from([("stage_passed", case.passed(passed))]),
            Change::RolloutPromoted => {
                let is_so = follows == Some("StagePassed") && rollout.is_in_rest();
                Vec::from([("promoted", (!is_so).then(|| "its last stage has not just passed".into()))])
            }
            Change::RolloutCompleted => {
                let missing = if rollout.is_in_rest() { case.unproven() } else { Some("it is not in its last stage") };
                Vec::from([("completed", missing.map(String::from))])
            }
            Change::RolloutHalted(halted) => Vec::from([("failures", case.stopped(halted.failures))]),
            Change::RolloutAborted(aborted) => match aborted.failures {
                Some(failures) => Vec::from([("failures", case.stopped(failures))]),
                None => Vec::new(),
            },
            Change::NodesOverdue(overdue) => {
                let early = overdue.late.iter().chain(&overdue.lost).find(|node| !case.is_over(node));
                Vec::from([("overdue", early.map(|node| format!("node {node} still had time")))])
            }
            _ => Vec::new(),
        };
        for (law, breach) in found {
            *self.checked.entry(law).or_default() += 1;
            if let Some(detail) = breach {
                self.breaches.push(LawBreach { position: event.position, rollout: id.clone(), law, detail });
            }
        }
    }
}

/// An event of a rollout, and the states around it.
struct Case<'a> {
    event: &'a Event,
    id: &'a RolloutId,
    rollout: &'a Rollout,
    before: &'a Configuration,
    after: &'a Configuration,
}

impl Case<'_> {
    fn released(&self, released: &NodesReleased) -> Vec<(&'static str, Option<String>)> {
        let wrong = released.nodes.iter().find(|node| digest(self.after, &node.id) != Some(node.digest));
        let wrong = wrong.map(|node| format!("node {} gets another record than is said", node.id));
        let changes = |node: &&NodeId| digest(self.before, node) != digest(self.after, node);
        let changed = released.moot.iter().find(changes);
        let changed = changed.map(|node| format!("node {node} is moot, and its record changes"));
        let nodes = || released.nodes.iter().map(|node| &node.id).chain(&released.moot);
        let may_be = |node: &&NodeId| self.before.releasable(self.rollout, core::iter::once(*node)).next().is_some();
        let other = nodes().find(|node| !may_be(node)).map(|node| format!("node {node} may not be released now"));
        let is_running = self.rollout.status == RolloutStatus::Running && !self.rollout.has_too_many_failures();
        let other = if is_running { other } else { Some("the rollout does not run".into()) };
        let room = self.rollout.free_slots() as usize;
        let count = released.nodes.len();
        let many = (count > room).then(|| format!("{count} nodes are released, and there is room for {room}"));
        Vec::from([("released_digest", wrong.or(changed)), ("released_nodes", other), ("released_count", many)])
    }

    fn expected(&self, expected: &NodesExpected) -> Option<String> {
        let wrong = expected.nodes.iter().find(|node| digest(self.before, &node.id) != Some(node.digest));
        let wrong = wrong.map(|node| format!("node {} has another record than is said", node.id));
        let has_changes =
            |node: &&NodeId| digest(&self.before.unreleased(self.id, node), node) != digest(self.before, node);
        let shadowed = expected.shadowed.iter().find(has_changes);
        wrong.or_else(|| shadowed.map(|node| format!("node {node} is shadowed, and has changes of the rollout")))
    }

    fn opened(&self, opened: &StageOpened, follows: Option<&str>) -> Option<String> {
        let index = self.rollout.opened.stages.iter().position(|stage| stage.name == opened.stage)?;
        let is_next = match self.rollout.stage {
            None => index == 0 && follows == Some("RolloutStarted"),
            Some(last) => index == last + 1 && follows == Some("StagePassed"),
        };
        if !is_next {
            return Some("the stage before it has not just passed".into());
        }
        let left = self.before.members(self.rollout).into_iter().filter(|node| !self.rollout.released.contains(*node));
        let members = left.filter(|node| self.before.is_in_stage(self.rollout, index, node)).count();
        let members = u32::try_from(members).unwrap_or(u32::MAX);
        let quota = self.rollout.opened.stages[index].up_to.of(members);
        let is_so = (opened.members, opened.quota) == (members, quota);
        (!is_so).then(|| {
            format!("it has {members} nodes and releases {quota}, and {} and {} are said", opened.members, opened.quota)
        })
    }

    fn passed(&self, passed: &StagePassed) -> Option<String> {
        let tally = self.rollout.open_tally();
        if let Some(why) = self.unproven() {
            return Some(why.into());
        }
        if passed.counts != tally.counts {
            return Some("other counts are said than the log has".into());
        }
        let left = match tally.released < tally.quota {
            true => u32::try_from(self.before.left_in_stage(self.rollout).len()).unwrap_or(u32::MAX),
            false => 0,
        };
        let of = match self.rollout.is_in_rest() {
            true => u32::try_from(self.before.members(self.rollout).len()).unwrap_or(u32::MAX),
            false => tally.members,
        };
        let is_so = passed.absent == left && self.rollout.opened.absent_max.allows(left, of);
        (!is_so).then(|| format!("{left} of {of} nodes were left, and {} are said to be absent", passed.absent))
    }

    /// What the open stage lacks to pass, whoever is left of it.
    fn unproven(&self) -> Option<&'static str> {
        let policy = self.rollout.stage_policy()?;
        let is_approved = policy.gate == StageGate::Auto || self.rollout.open_tally().approved;
        let lacks = [
            (self.rollout.status != RolloutStatus::Running, "it does not run"),
            (!self.rollout.in_flight.is_empty(), "nodes are in flight"),
            (self.rollout.confirmed_in_stage() < policy.at_least, "too few nodes have confirmed"),
            (self.event.at < self.rollout.settled_at.plus_seconds(policy.bake_s), "the stage has not baked"),
            (!is_approved, "the stage is not approved"),
            (self.rollout.has_too_many_failures(), "it has too many failures"),
        ];
        lacks.into_iter().find(|(is_lacking, _)| *is_lacking).map(|(_, why)| why)
    }

    fn stopped(&self, said: FailureCounts) -> Option<String> {
        let is_so = said == self.rollout.failures && self.rollout.has_too_many_failures();
        (!is_so)
            .then(|| format!("the log has {} failures, and {} are said", self.rollout.failures.total(), said.total()))
    }

    fn is_over(&self, node: &NodeId) -> bool {
        let release = self.before.rollouts().release(self.id, node);
        let is_over = |at: schema::instant::Instant| self.event.at >= at.plus_seconds(self.rollout.opened.settle_s);
        let is_left = || !self.before.is_member(self.rollout, node);
        release.is_some_and(|release| release.in_flight && (is_over(release.at) || is_left()))
    }
}

fn digest(state: &Configuration, node: &NodeId) -> Option<Digest> {
    render(state, node).map(|manifest| manifest.digest)
}
