//! The boots of one node's agent. They tell apart late reports of an agent that has ended, and a second agent with the same id.
//!
//! What always holds: of a node that signs its reports, only one with a higher number counts, boot before report. Else: within a boot only a
//! report with a higher number counts. A boot that was replaced by one with a higher number does
//! not count again while that one reports. A boot that was never heard counts at once, whatever its number: a new machine counts from 1.
//! Without numbers, which older agents don't have, the last report counts.

use std::time::Duration;

use projections::convergence::OFFLINE_AFTER;
use schema::report::Reported;
use tokio::time::Instant;

/// A boot that was replaced and reports again within this time is a second agent's.
const DUPLICATE_FOR: Duration = Duration::from_secs(60);
/// How many replaced boots are remembered.
const FORMER_MAX: usize = 4;

/// The boots of a node that were heard.
#[derive(Clone, Debug)]
pub(super) struct BootHistory {
    newest: Boot,
    /// The boots that were replaced, the latest last.
    former: Vec<Boot>,
    /// When a replaced boot last reported again.
    returned: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Boot {
    name: String,
    number: Option<u64>,
    seq: u64,
    heard: Instant,
}

impl Boot {
    fn of(report: &Reported, heard: Instant) -> Self {
        Self { name: report.boot.clone(), number: report.boot_no, seq: report.seq, heard }
    }
}

impl BootHistory {
    /// The first boot that is heard of a node.
    pub(super) fn of(report: &Reported, now: Instant) -> Self {
        Self { newest: Boot::of(report, now), former: Vec::new(), returned: None }
    }

    /// Records a report that the node signed, and says whether it is the node's newest. Two agents with one seed count alike.
    pub(super) fn hear_signed(&mut self, report: &Reported, now: Instant) -> bool {
        let heard = Boot::of(report, now);
        if heard.number == self.newest.number && heard.name != self.newest.name {
            self.returned = Some(now);
        }
        let is_newer = (heard.number, heard.seq) > (self.newest.number, self.newest.seq);
        if is_newer {
            self.newest = heard;
        }
        is_newer
    }

    /// Records a report without a signature, and says whether it is the node's newest.
    pub(super) fn hear(&mut self, report: &Reported, now: Instant) -> bool {
        let heard = Boot::of(report, now);
        let numbers = heard.number.zip(self.newest.number);
        if heard.name == self.newest.name {
            let is_older = numbers.is_some() && heard.seq < self.newest.seq;
            if !is_older {
                self.newest = heard;
            }
            return !is_older;
        }
        let before = self.former.iter().position(|former| former.name == heard.name);
        let before = before.map(|at| self.former.remove(at));
        if before.as_ref().is_some_and(|before| now.saturating_duration_since(before.heard) < DUPLICATE_FOR) {
            self.returned = Some(now);
        }
        let speaks = now.saturating_duration_since(self.newest.heard) <= OFFLINE_AFTER;
        let is_older = before.is_some() && speaks && numbers.is_some_and(|(heard, newest)| heard < newest);
        let other = if is_older { heard } else { std::mem::replace(&mut self.newest, heard) };
        self.former.push(other);
        self.former.drain(..self.former.len().saturating_sub(FORMER_MAX));
        !is_older
    }

    /// Whether two agents report under this id.
    pub(super) fn are_of_two(&self, now: Instant) -> bool {
        self.returned.is_some_and(|returned| now.saturating_duration_since(returned) < DUPLICATE_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reports of a node, each as its boot, that one's number, the report's number in it, and the seconds since the one before.
    fn heard<const N: usize>(said: [(&str, Option<u64>, u64, u64); N]) -> ([bool; N], bool) {
        let first = include_bytes!("../../../schema/tests/golden/records/reported-first.json");
        let blank: Reported = serde_json::from_slice(first).expect("a report");
        let (mut now, mut boots) = (Instant::now(), None::<BootHistory>);
        let counts = said.map(|(boot, boot_no, seq, after)| {
            now += Duration::from_secs(after);
            let report = Reported { boot: boot.into(), boot_no, seq, ..blank.clone() };
            match &mut boots {
                Some(boots) => boots.hear(&report, now),
                None => {
                    boots = Some(BootHistory::of(&report, now));
                    true
                }
            }
        });
        (counts, boots.is_some_and(|boots| boots.are_of_two(now)))
    }

    #[test]
    fn boots_that_change_to_and_fro_within_a_minute_are_of_two_agents() {
        let two = |said| heard(said).1;
        assert!(two([("a", Some(3), 9, 0), ("b", Some(1), 1, 5), ("a", Some(3), 10, 5)]));
        assert!(two([("a", None, 9, 0), ("b", None, 1, 5), ("a", None, 10, 5)]), "older agents, too");
        assert!(!two([("a", Some(3), 9, 0), ("b", Some(4), 1, 5), ("b", Some(4), 2, 5)]), "a restart");
        assert!(!two([("a", Some(3), 9, 0), ("b", Some(4), 1, 5), ("c", Some(5), 1, 5)]), "two restarts");
        assert!(!two([("a", Some(3), 9, 0), ("b", Some(1), 1, 30), ("a", Some(3), 10, 30)]), "a minute later");
        let three = heard([("a", None, 1, 0), ("b", None, 1, 3), ("c", None, 1, 3), ("a", None, 2, 3)]);
        assert!(three.1, "three agents");
        let (_, over) = heard([("a", None, 1, 0), ("b", None, 1, 3), ("a", None, 2, 3), ("a", None, 3, 60)]);
        assert!(!over, "the other one was stopped");
    }

    #[test]
    fn the_number_of_the_boot_orders_reports_and_no_clock_does() {
        let said = [("a", Some(3), 9, 0), ("b", Some(4), 1, 1), ("a", Some(3), 10, 1), ("b", Some(4), 2, 1)];
        assert_eq!(heard(said).0, [true, true, false, true], "what an agent that is gone had under way");
        let said = [("a", Some(3), 9, 0), ("a", Some(3), 8, 1), ("a", Some(3), 10, 1)];
        assert_eq!(heard(said).0, [true, false, true], "of one boot the higher number counts");
        let said = [("a", Some(17), 9, 0), ("b", Some(1), 1, 1), ("b", Some(1), 2, 10)];
        assert_eq!(heard(said).0, [true, true, true], "a machine that was set up anew counts from 1");
        let said = [("b", Some(1), 1, 0), ("a", Some(17), 9, 1), ("b", Some(1), 2, 10), ("b", Some(1), 3, 30)];
        assert_eq!(heard(said).0, [true, true, false, true], "until the other one is silent");
        let said = [("a", None, 9, 0), ("b", None, 1, 1), ("a", None, 8, 1)];
        assert_eq!(heard(said).0, [true, true, true], "without numbers what comes last counts");
    }

    #[test]
    fn of_signed_reports_only_a_higher_number_counts_and_no_silence_changes_that() {
        let first = include_bytes!("../../../schema/tests/golden/records/reported-first.json");
        let blank: Reported = serde_json::from_slice(first).expect("a report");
        let report =
            |boot: &str, boot_no, seq| Reported { boot: boot.into(), boot_no: Some(boot_no), seq, ..blank.clone() };
        let mut now = Instant::now();
        let mut boots = BootHistory::of(&report("a", 3, 9), now);
        assert!(!boots.hear_signed(&report("a", 3, 9), now), "the same again");
        assert!(!boots.hear_signed(&report("z", 2, 99), now), "an earlier boot");
        now += OFFLINE_AFTER * 10;
        assert!(!boots.hear_signed(&report("a", 3, 8), now), "held back for long");
        assert!(boots.hear_signed(&report("b", 4, 1), now));
        assert!(!boots.are_of_two(now));
        assert!(!boots.hear_signed(&report("c", 4, 1), now) && boots.are_of_two(now), "two agents in one boot");
        assert!(boots.hear_signed(&report("c", 4, 2), now));
    }

    #[test]
    fn no_more_boots_are_remembered_than_a_few() {
        let first = include_bytes!("../../../schema/tests/golden/records/reported-first.json");
        let mut report: Reported = serde_json::from_slice(first).expect("a report");
        let mut boots = BootHistory::of(&report, Instant::now());
        for boot in 0..100 {
            report.boot = format!("boot {boot}");
            assert!(boots.hear(&report, Instant::now()));
        }
        assert_eq!(boots.former.len(), FORMER_MAX);
    }
}
