//! Back-off of repairs when the tree in force is changed again after each.
//!
//! Invariant: at most three repairs within a minute; after that each repair waits twice as long as the one before, up to five
//! minutes, until the tree has no drift for a minute. Time is an argument: how long the agent has run.

use std::collections::VecDeque;
use std::time::Duration;

/// How many repairs are made without a pause.
const REPAIRS_MAX: usize = 3;
/// The time in which they are counted.
const WITHIN: Duration = Duration::from_secs(60);
const PAUSE_MIN: Duration = Duration::from_secs(15);
const PAUSE_MAX: Duration = Duration::from_secs(5 * 60);

/// A newer record does not reset it: a program that writes into one tree will write into the next.
#[derive(Debug, Default)]
pub(crate) struct RepairBackoff {
    /// When the last repairs were made, oldest first.
    made: VecDeque<Duration>,
    /// The pause between the last repair and the next; none unless drift returns.
    pause: Option<Duration>,
}

impl RepairBackoff {
    pub(crate) fn may_repair(&mut self, now: Duration) -> bool {
        let Some(last) = self.made.back() else { return true };
        let recent = self.made.iter().filter(|at| now.saturating_sub(**at) < WITHIN).count();
        if self.pause.is_none() && recent == REPAIRS_MAX {
            self.pause = Some(PAUSE_MIN);
        }
        self.pause.is_none_or(|pause| now.saturating_sub(*last) >= pause)
    }

    pub(crate) fn note_repair(&mut self, now: Duration) {
        self.pause = self.pause.map(|pause| (pause * 2).min(PAUSE_MAX));
        self.made.push_back(now);
        if self.made.len() > REPAIRS_MAX {
            self.made.pop_front();
        }
    }

    /// The tree has no drift at `now`. True if repairs need no pause any more.
    pub(crate) fn note_no_drift(&mut self, now: Duration) -> bool {
        let is_stable = self.made.back().is_none_or(|last| now.saturating_sub(*last) >= WITHIN);
        if is_stable {
            self.pause = None;
        }
        self.pause.is_none()
    }

    /// Whether drift returned so often that repairs wait.
    pub(crate) fn is_waiting(&self) -> bool {
        self.pause.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds of an hour at which a tree is repaired that is changed again at once and compared every second.
    fn repaired(repairs: &mut RepairBackoff, begun: Duration) -> Vec<u64> {
        let mut seconds = Vec::new();
        for second in 0..3600 {
            let now = begun + Duration::from_secs(second);
            if repairs.may_repair(now) {
                repairs.note_repair(now);
                seconds.push(second);
            }
        }
        seconds
    }

    #[test]
    fn after_three_repairs_within_a_minute_pauses_double_to_five_minutes() {
        let seconds = repaired(&mut RepairBackoff::default(), Duration::ZERO);
        let pauses: Vec<u64> = seconds.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(pauses[..8], [1, 1, 15, 30, 60, 120, 240, 300]);
        assert!(pauses[8..].iter().all(|pause| *pause == 300), "{pauses:?}");
    }

    #[test]
    fn repairs_that_are_far_apart_never_wait() {
        let mut repairs = RepairBackoff::default();
        for round in 0..20 {
            let now = Duration::from_secs(31 * round);
            assert!(repairs.may_repair(now));
            repairs.note_repair(now);
            assert!(repairs.note_no_drift(now + Duration::from_secs(1)));
        }
    }

    #[test]
    fn a_minute_without_drift_ends_the_waiting() {
        let mut repairs = RepairBackoff::default();
        let last = Duration::from_secs(*repaired(&mut repairs, Duration::ZERO).last().expect("repairs"));
        assert!(!repairs.note_no_drift(last + Duration::from_secs(59)) && repairs.is_waiting());
        assert!(repairs.note_no_drift(last + Duration::from_secs(60)) && !repairs.is_waiting());
        assert!(repairs.may_repair(last + Duration::from_secs(61)), "and three repairs are free again");
    }
}
