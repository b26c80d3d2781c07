//! What nodes were heard to say, and what of that is worth a line in the log.
//!
//! The newest report of each node counts. A change is due at once, and then as often as [`crate::fleet::rate_limit`] says: what
//! comes in between is replaced by what is newest then, so nothing that lasts is lost. Mere heartbeats are never due. Time
//! comes in as an argument; nothing here waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use projections::configuration::Configuration;
use schema::id::{LogId, NodeId};
use schema::position::Position;
use schema::report::{Reported, Summary};
use tokio::time::Instant;

use crate::fleet::boots::Boots;
use crate::fleet::rate_limit::RateLimit;

/// A node's newest report.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// What it said.
    pub report: Arc<Reported>,
    /// How long ago.
    pub silence: Duration,
    /// Whether two agents report under its id.
    pub duplicate: bool,
}

/// Where NATS holds a report: its revision, and when it was written. The same one may be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportRevision {
    /// Counts what the bucket was written.
    pub revision: u64,
    /// By the clock of NATS.
    pub at: SystemTime,
}

/// What there is to do.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one of it is made, and taken apart at once")]
pub enum NextNote {
    /// Note this.
    Change(NodeId, Summary),
    /// Nothing before then.
    At(Instant),
    /// Nothing until somebody is heard.
    Nothing,
}

/// Whether noting this would say anything that the log does not say already: then the position of the node's record. Nodes
/// that were never enrolled have no history, however much they talk.
#[must_use]
pub fn news(state: &Configuration, node: &NodeId, summary: &Summary) -> Option<Position> {
    let known = state.nodes().get(node)?;
    state.is_news(node, summary).then_some(known.cause.position)
}

/// The notes.
#[derive(Debug, Default)]
pub struct ReportTracker {
    nodes: BTreeMap<NodeId, TrackedNode>,
    /// Whom to look at, and when.
    queue: BTreeSet<(Instant, NodeId)>,
}

#[derive(Debug)]
struct TrackedNode {
    report: Arc<Reported>,
    stored: Option<ReportRevision>,
    heard: Instant,
    /// How old the report was then.
    age: Duration,
    boots: Boots,
    limit: RateLimit,
    /// The limit before the last change was given out.
    before: RateLimit,
    /// When the node is looked at, if it waits for that.
    queued: Option<Instant>,
}

impl ReportTracker {
    /// A node is heard at `now`, with a report that is `age` old already. Says whether that is its newest: of an agent that is
    /// gone, or a second one with the same id, something older may come.
    pub fn hear(
        &mut self,
        node: NodeId,
        report: Reported,
        now: Instant,
        age: Duration,
        stored: Option<ReportRevision>,
    ) -> bool {
        match self.nodes.get_mut(&node) {
            Some(tracked) => {
                tracked.stored = stored;
                if !tracked.boots.hear(&report, now) {
                    return false;
                }
                (tracked.report, tracked.heard, tracked.age) = (Arc::new(report), now, age);
            }
            None => {
                let boots = Boots::of(&report, now);
                let (limit, before) = (RateLimit::default(), RateLimit::default());
                let report = Arc::new(report);
                let tracked = TrackedNode { report, stored, heard: now, age, boots, limit, before, queued: None };
                self.nodes.insert(node.clone(), tracked);
            }
        }
        self.queue(&node, now);
        true
    }

    /// Whether this very report was heard: then it is no sign of life.
    #[must_use]
    pub fn has(&self, node: &NodeId, stored: ReportRevision) -> bool {
        self.nodes.get(node).is_some_and(|tracked| tracked.stored == Some(stored))
    }

    /// A node's report is gone.
    pub fn forget(&mut self, node: &NodeId) {
        if let Some(queued) = self.nodes.remove(node).and_then(|tracked| tracked.queued) {
            self.queue.remove(&(queued, node.clone()));
        }
    }

    /// A change that was given out could not be noted: it is due again, later.
    pub fn again(&mut self, node: &NodeId, now: Instant) {
        if let Some(tracked) = self.nodes.get_mut(node) {
            tracked.limit = tracked.before;
            tracked.limit.put_off(now);
            self.queue(node, now);
        }
    }

    /// The newest report of a node.
    #[must_use]
    pub fn heard(&self, node: &NodeId, now: Instant) -> Option<Heard> {
        self.nodes.get(node).map(|tracked| tracked.shown(now))
    }

    /// The newest reports of all nodes.
    #[must_use]
    pub fn all(&self, now: Instant) -> BTreeMap<NodeId, Heard> {
        self.nodes.iter().map(|(node, tracked)| (node.clone(), tracked.shown(now))).collect()
    }

    /// The highest position of a log that any node has seen, by its own word.
    #[must_use]
    pub fn highest_seen(&self, log_id: LogId) -> Option<Position> {
        let reports = self.nodes.values().map(|tracked| &tracked.report);
        let of_log = reports.filter(|report| report.log_id == Some(log_id));
        of_log.filter_map(|report| report.seen).map(|seen| seen.position).max()
    }

    /// The next change that is due at `now`. `news` is [`news`] of the newest state.
    pub fn due(&mut self, now: Instant, news: impl Fn(&NodeId, &Summary) -> Option<Position>) -> NextNote {
        loop {
            let Some((at, node)) = self.queue.first() else { return NextNote::Nothing };
            if *at > now {
                return NextNote::At(*at);
            }
            let node = node.clone();
            self.queue.pop_first();
            let tracked = self.nodes.get_mut(&node).expect("BUG: a queued node is tracked");
            tracked.queued = None;
            let summary = Summary::from(&*tracked.report);
            let Some(record) = news(&node, &summary) else { continue };
            match tracked.limit.next(record, &summary) {
                Some(next) if next > now => {
                    tracked.queued = Some(next);
                    self.queue.insert((next, node));
                }
                _ => {
                    tracked.before = tracked.limit;
                    tracked.limit.give(now, record, &summary);
                    return NextNote::Change(node, summary);
                }
            }
        }
    }

    /// Looks at a node as soon as it may have a line: what it says now may not have to wait as long as what it said before.
    fn queue(&mut self, node: &NodeId, now: Instant) {
        let tracked = self.nodes.get_mut(node).expect("BUG: a queued node is tracked");
        let at = tracked.limit.earliest().map_or(now, |earliest| now.max(earliest));
        if let Some(queued) = tracked.queued.filter(|queued| *queued > at) {
            self.queue.remove(&(queued, node.clone()));
            tracked.queued = None;
        }
        if tracked.queued.is_none() {
            tracked.queued = Some(at);
            self.queue.insert((at, node.clone()));
        }
    }
}

impl TrackedNode {
    fn shown(&self, now: Instant) -> Heard {
        let silence = now.saturating_duration_since(self.heard) + self.age;
        Heard { report: Arc::clone(&self.report), silence, duplicate: self.boots.are_of_two(now) }
    }
}

#[cfg(test)]
mod tests;
