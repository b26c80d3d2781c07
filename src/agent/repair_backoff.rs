//! How often the tree in force is put right when it is changed again and again.
//!
//! What always holds: at most three repairs follow each other within a minute; after that each waits twice as long as the one
//! before, up to five minutes, until a tree stays as it is for a minute. Time comes in as an
//! argument: how long the agent has run.

use std::collections::VecDeque;
use std::time::Duration;

/// Repairs that may follow each other.
const REPAIRS_MAX: usize = 3;
/// Within this time.
const WITHIN: Duration = Duration::from_secs(60);
/// The first pause after them.
const PAUSE_MIN: Duration = Duration::from_secs(15);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(5 * 60);

/// The repairs of one node. A newer record does not end the waiting: what writes into one tree writes into the next.
#[derive(Debug, Default)]
pub(crate) struct RepairBackoff {
    /// When the last ones were made, oldest first.
    made: VecDeque<Duration>,
    /// How long the next one waits after the last; none unless drift returns.
    pause: Option<Duration>,
}

impl RepairBackoff {
    /// Whether a tree that differs may be put right at `now`.
    pub(crate) fn may(&mut self, now: Duration) -> bool {
        let Some(last) = self.made.back() else { return true };
        let recent = self.made.iter().filter(|at| now.saturating_sub(**at) < WITHIN).count();
        if self.pause.is_none() && recent == REPAIRS_MAX {
            self.pause = Some(PAUSE_MIN);
        }
        self.pause.is_none_or(|pause| now.saturating_sub(*last) >= pause)
    }

    /// It was put right at `now`.
    pub(crate) fn made(&mut self, now: Duration) {
        self.pause = self.pause.map(|pause| (pause * 2).min(PAUSE_MAX));
        self.made.push_back(now);
        if self.made.len() > REPAIRS_MAX {
            self.made.pop_front();
        }
    }

    /// The tree is found as it should be at `now`. Says whether it can be taken for stable again.
    pub(crate) fn rest(&mut self, now: Duration) -> bool {
        let is_stable = self.made.back().is_none_or(|last| now.saturating_sub(*last) >= WITHIN);
        if is_stable {
            self.pause = None;
        }
        self.pause.is_none()
    }

    /// Whether drift returns, so that repairs wait.
    pub(crate) fn wait(&self) -> bool {
        self.pause.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds at which a tree that is changed again at once is put right within an hour, looked at every second.
    fn repaired(repairs: &mut RepairBackoff, begun: Duration) -> Vec<u64> {
        let mut seconds = Vec::new();
        for second in 0..3600 {
            let now = begun + Duration::from_secs(second);
            if repairs.may(now) {
                repairs.made(now);
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
            assert!(repairs.may(now));
            repairs.made(now);
            assert!(repairs.rest(now + Duration::from_secs(1)));
        }
    }

    #[test]
    fn a_minute_without_drift_ends_the_waiting() {
        let mut repairs = RepairBackoff::default();
        let last = Duration::from_secs(*repaired(&mut repairs, Duration::ZERO).last().expect("repairs"));
        assert!(!repairs.rest(last + Duration::from_secs(59)) && repairs.wait());
        assert!(repairs.rest(last + Duration::from_secs(60)) && !repairs.wait());
        assert!(repairs.may(last + Duration::from_secs(61)), "and three repairs are free again");
    }
}
