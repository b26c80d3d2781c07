//! Nodes that report and are not enrolled: their id was mistyped, or they are yet to be enrolled.
//!
//! What always holds: of each only its id and the time are kept, up to a number of ids; then the one that was silent for the longest is
//! forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use projections::convergence::OFFLINE_AFTER;
use schema::id::NodeId;
use tokio::time::Instant;

/// The largest number of ids.
const UNKNOWN_MAX: usize = 10_000;
/// The shortest time between two log lines about them.
const LOGGED_EVERY: Duration = Duration::from_secs(60);
/// Ids that one log line names.
const NAMED_MAX: usize = 5;

#[derive(Debug, Default)]
pub(super) struct UnknownNodes {
    heard: BTreeMap<NodeId, Instant>,
    by_time: BTreeSet<(Instant, NodeId)>,
    /// A few of those that were not logged yet, and how many there are.
    fresh: (Vec<NodeId>, usize),
    logged: Option<Instant>,
}

/// The contents of a log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnknownNodesNotice {
    /// A few of the new ids.
    pub(super) names: Vec<NodeId>,
    /// How many are new since the last line.
    pub(super) count: usize,
}

impl UnknownNodes {
    /// Records a report at this time. Says whether another node was forgotten for it.
    pub(super) fn hear(&mut self, node: NodeId, at: Instant) -> bool {
        match self.heard.insert(node.clone(), at) {
            Some(before) => drop(self.by_time.remove(&(before, node.clone()))),
            None => {
                self.fresh.1 += 1;
                if self.fresh.0.len() < NAMED_MAX {
                    self.fresh.0.push(node.clone());
                }
            }
        }
        self.by_time.insert((at, node));
        if self.heard.len() <= UNKNOWN_MAX {
            return false;
        }
        let oldest = self.by_time.pop_first();
        oldest.is_some_and(|(_, oldest)| self.heard.remove(&oldest).is_some())
    }

    /// The node is enrolled now, or its report was deleted.
    pub(super) fn forget(&mut self, node: &NodeId) {
        if let Some(at) = self.heard.remove(node) {
            self.by_time.remove(&(at, node.clone()));
        }
    }

    /// Those that are enrolled meanwhile.
    pub(super) fn enrolled(&self, is_enrolled: impl Fn(&NodeId) -> bool) -> Vec<NodeId> {
        self.heard.keys().filter(|node| is_enrolled(node)).cloned().collect()
    }

    /// How many report at present.
    pub(super) fn reporting(&self, now: Instant) -> usize {
        self.heard.values().filter(|at| now.saturating_duration_since(**at) <= OFFLINE_AFTER).count()
    }

    /// What to log about new ids, at most once a minute.
    pub(super) fn notice(&mut self, now: Instant) -> Option<UnknownNodesNotice> {
        let is_early = self.logged.is_some_and(|logged| now.saturating_duration_since(logged) < LOGGED_EVERY);
        if is_early || self.fresh.1 == 0 {
            return None;
        }
        self.logged = Some(now);
        let (names, count) = std::mem::take(&mut self.fresh);
        Some(UnknownNodesNotice { names, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: usize) -> NodeId {
        format!("n-{number}").parse().expect("an id")
    }

    #[test]
    fn so_many_are_kept_and_the_most_silent_gives_way() {
        let (mut unknown, start) = (UnknownNodes::default(), Instant::now());
        let at = |ms: usize| start + Duration::from_millis(ms as u64);
        assert!((0..UNKNOWN_MAX).all(|number| !unknown.hear(node(number), at(number))));
        assert!(!unknown.hear(node(0), at(UNKNOWN_MAX)), "it is kept already");
        for number in UNKNOWN_MAX..2 * UNKNOWN_MAX {
            assert!(unknown.hear(node(number), at(number + 1)));
        }
        assert_eq!((unknown.heard.len(), unknown.by_time.len()), (UNKNOWN_MAX, UNKNOWN_MAX));
        assert!(!unknown.heard.contains_key(&node(0)), "it was heard again, but long ago");
        assert!(unknown.heard.contains_key(&node(UNKNOWN_MAX)));
    }

    #[test]
    fn a_line_a_minute_names_a_few_of_those_that_are_new() {
        let (mut unknown, start) = (UnknownNodes::default(), Instant::now());
        let at = |s: u64| start + Duration::from_secs(s);
        assert_eq!(unknown.notice(at(0)), None);
        unknown.hear(node(0), at(0));
        assert_eq!(unknown.notice(at(0)), Some(UnknownNodesNotice { names: vec![node(0)], count: 1 }));
        unknown.hear(node(0), at(10));
        assert_eq!(unknown.notice(at(70)), None, "it was named");
        for number in 1..100 {
            unknown.hear(node(number), at(70));
        }
        let names: Vec<_> = (1..=NAMED_MAX).map(node).collect();
        assert_eq!(unknown.notice(at(70)), Some(UnknownNodesNotice { names, count: 99 }));
        unknown.hear(node(100), at(71));
        assert_eq!(unknown.notice(at(129)), None, "a minute is not over");
        assert_eq!(unknown.notice(at(130)), Some(UnknownNodesNotice { names: vec![node(100)], count: 1 }));
    }

    #[test]
    fn who_is_silent_or_enrolled_is_not_counted() {
        let (mut unknown, start) = (UnknownNodes::default(), Instant::now());
        unknown.hear(node(1), start);
        unknown.hear(node(2), start + OFFLINE_AFTER);
        unknown.hear(node(3), start + OFFLINE_AFTER);
        assert_eq!(unknown.reporting(start + OFFLINE_AFTER), 3);
        assert_eq!(unknown.reporting(start + OFFLINE_AFTER + Duration::from_secs(1)), 2);
        assert_eq!(unknown.enrolled(|known| *known == node(2)), [node(2)]);
        unknown.forget(&node(2));
        assert_eq!(unknown.reporting(start + OFFLINE_AFTER + Duration::from_secs(1)), 1);
        assert_eq!(unknown.by_time.len(), 2);
    }
}
