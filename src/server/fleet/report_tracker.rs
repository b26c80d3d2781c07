//! The newest report of each node, and which changes become events.
//!
//! A change is due at once, and then as often as [`crate::fleet::rate_limit`] allows: a report in between is replaced by a newer one, so
//! nothing that lasts is lost. Mere heartbeats are never due. Time comes in as an argument; nothing here waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use projections::configuration::Configuration;
use schema::id::{LogId, NodeId};
use schema::node_keys::KeyBytes;
use schema::position::Position;
use schema::report::{ReportSummary, Reported};
use tokio::time::Instant;

use crate::fleet::boots::BootHistory;
use crate::fleet::rate_limit::RateLimit;

/// A node's newest report.
#[derive(Clone, Debug, PartialEq)]
pub struct HeardReport {
    /// The report, cut to a bounded size.
    pub report: Arc<Reported>,
    /// How long ago it was heard.
    pub silence: Duration,
    /// Whether two agents report under the node's id.
    pub duplicate: bool,
}

/// Which message of NATS a report is, because the same one may be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportRevision {
    /// Its revision in the bucket.
    pub revision: u64,
    /// When it was written, by the clock of NATS.
    pub at: SystemTime,
}

/// Where a report came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportOrigin {
    /// The message of NATS, if it is one.
    pub stored: Option<ReportRevision>,
    /// The key that signed it, if one did.
    pub signer: Option<KeyBytes>,
}

/// The next change to append.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one value exists at a time, and is taken apart at once")]
pub enum NextChange {
    /// Append this summary of the node.
    Append(NodeId, ReportSummary),
    /// None before this time.
    At(Instant),
    /// None until a report is heard.
    Nothing,
}

/// The position of the node's record, if this summary says anything that the log does not say already. Nodes that were never enrolled
/// have no history, however much they report.
#[must_use]
pub fn noteworthy(state: &Configuration, node: &NodeId, summary: &ReportSummary) -> Option<Position> {
    let known = state.nodes().get(node)?;
    state.is_new_report(node, summary).then_some(known.cause.position)
}

/// The newest report of each node, and when its next change is due.
#[derive(Debug, Default)]
pub struct ReportTracker {
    nodes: BTreeMap<NodeId, TrackedNode>,
    /// The nodes that may have a change to append, by the earliest time for it.
    queue: BTreeSet<(Instant, NodeId)>,
}

#[derive(Debug)]
struct TrackedNode {
    report: Arc<Reported>,
    origin: ReportOrigin,
    heard: Instant,
    /// How old the report was when it was heard.
    age: Duration,
    boots: BootHistory,
    limit: RateLimit,
    /// The limit before the last change was counted.
    before: RateLimit,
    /// The node's time in the queue, if it is queued.
    queued: Option<Instant>,
}

impl ReportTracker {
    /// Records a report that is heard at `now` and was `age` old then. Says whether it is the node's newest: an agent that has ended, or
    /// a second one with the same id, may send an older one.
    pub fn hear(&mut self, node: NodeId, report: Reported, now: Instant, age: Duration, origin: ReportOrigin) -> bool {
        match self.nodes.get_mut(&node) {
            Some(tracked) => {
                let is_newest = match origin.signer {
                    // Other keys are those of another machine, which counts anew.
                    signer if signer != tracked.origin.signer => {
                        tracked.boots = BootHistory::of(&report, now);
                        true
                    }
                    Some(_) => tracked.boots.hear_signed(&report, now),
                    None => tracked.boots.hear(&report, now),
                };
                tracked.origin = origin;
                if !is_newest {
                    return false;
                }
                (tracked.report, tracked.heard, tracked.age) = (Arc::new(report), now, age);
            }
            None => {
                let boots = BootHistory::of(&report, now);
                let (limit, before) = (RateLimit::default(), RateLimit::default());
                let report = Arc::new(report);
                let tracked = TrackedNode { report, origin, heard: now, age, boots, limit, before, queued: None };
                self.nodes.insert(node.clone(), tracked);
            }
        }
        self.queue(&node, now);
        true
    }

    /// Whether this very message was heard before: then it is no sign of life.
    #[must_use]
    pub fn has_heard(&self, node: &NodeId, stored: ReportRevision) -> bool {
        self.nodes.get(node).is_some_and(|tracked| tracked.origin.stored == Some(stored))
    }

    /// The node's report was deleted.
    pub fn forget(&mut self, node: &NodeId) {
        if let Some(queued) = self.nodes.remove(node).and_then(|tracked| tracked.queued) {
            self.queue.remove(&(queued, node.clone()));
        }
    }

    /// A change could not be appended: it is due again in a second.
    pub fn retry(&mut self, node: &NodeId, now: Instant) {
        if let Some(tracked) = self.nodes.get_mut(node) {
            tracked.limit = tracked.before;
            tracked.limit.put_off(now);
            self.queue(node, now);
        }
    }

    /// The newest report of a node.
    #[must_use]
    pub fn heard(&self, node: &NodeId, now: Instant) -> Option<HeardReport> {
        self.nodes.get(node).map(|tracked| tracked.shown(now))
    }

    /// The newest reports of all nodes.
    #[must_use]
    pub fn all(&self, now: Instant) -> BTreeMap<NodeId, HeardReport> {
        self.nodes.iter().map(|(node, tracked)| (node.clone(), tracked.shown(now))).collect()
    }

    /// The highest position of a log that any node claims to have seen.
    #[must_use]
    pub fn highest_seen(&self, log_id: LogId) -> Option<Position> {
        let reports = self.nodes.values().map(|tracked| &tracked.report);
        let of_log = reports.filter(|report| report.log_id == Some(log_id));
        of_log.filter_map(|report| report.seen).map(|seen| seen.position).max()
    }

    /// The next change that is due at `now`. `noteworthy` is [`noteworthy`] with the newest state.
    pub fn next(
        &mut self,
        now: Instant,
        noteworthy: impl Fn(&NodeId, &ReportSummary) -> Option<Position>,
    ) -> NextChange {
        loop {
            let Some((at, node)) = self.queue.first() else { return NextChange::Nothing };
            if *at > now {
                return NextChange::At(*at);
            }
            let node = node.clone();
            self.queue.pop_first();
            let tracked = self.nodes.get_mut(&node).expect("BUG: a queued node is tracked");
            tracked.queued = None;
            let summary = tracked.summary();
            let Some(record) = noteworthy(&node, &summary) else { continue };
            match tracked.limit.next(record, &summary) {
                Some(next) if next > now => {
                    tracked.queued = Some(next);
                    self.queue.insert((next, node));
                }
                _ => {
                    tracked.before = tracked.limit;
                    tracked.limit.count(now, record, &summary);
                    return NextChange::Append(node, summary);
                }
            }
        }
    }

    /// Queues a node for the earliest time of its next event: the new report may not have to wait as long as the one before it.
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
    /// What the log may keep of the report; with its number, if the node signed it.
    fn summary(&self) -> ReportSummary {
        let sent = self.origin.signer.and_then(|_| self.report.sent());
        ReportSummary { sent, ..ReportSummary::from(&*self.report) }
    }

    fn shown(&self, now: Instant) -> HeardReport {
        let silence = now.saturating_duration_since(self.heard) + self.age;
        HeardReport { report: Arc::clone(&self.report), silence, duplicate: self.boots.are_of_two(now) }
    }
}

#[cfg(test)]
mod tests;
