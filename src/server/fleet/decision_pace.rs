//! Limits how often proposals of one node are decided, because each one that is new stays in the log.
//!
//! What always holds: at least a second lies between two of them; in the long run a node gets one in a minute, and 32 more in a burst.

use std::time::Duration;

use tokio::time::Instant;

/// The shortest time between two decisions.
const EVERY_MIN: Duration = Duration::from_secs(1);
/// The time between two decisions in the long run.
const EVERY: Duration = Duration::from_secs(60);
/// How many decisions may come before that.
const BURST: u32 = 32;

/// The latest decisions on proposals of a node.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DecisionPace {
    last: Option<Instant>,
    /// When all that were decided are paid for, at one in [`EVERY`].
    paid_at: Option<Instant>,
}

impl DecisionPace {
    /// Whether one more may be decided now.
    pub(super) fn allows(&self, now: Instant) -> bool {
        let is_late = |at: Option<Instant>| at.is_none_or(|at| now >= at);
        is_late(self.last.map(|last| last + EVERY_MIN))
            && self.paid_at.is_none_or(|paid_at| now + EVERY * BURST > paid_at)
    }

    /// Counts a decision.
    pub(super) fn count(&mut self, now: Instant) {
        self.last = Some(now);
        self.paid_at = Some(self.paid_at.map_or(now, |paid_at| paid_at.max(now)) + EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_one_in_a_minute() {
        let (start, mut pace) = (Instant::now(), DecisionPace::default());
        let mut decided = Vec::new();
        for second in 0..600_u64 {
            let now = start + Duration::from_secs(second);
            if pace.allows(now) {
                pace.count(now);
                decided.push(second);
            }
            assert!(!pace.allows(now), "never two in a second");
        }
        assert_eq!(decided[..32], Vec::from_iter(0..32)[..]);
        assert!((41..=43).contains(&decided.len()), "{decided:?}");
    }
}
