//! Gaps in which this process did not run: it was frozen, or its machine was. What nodes said meanwhile lies unread.
//!
//! Always: whoever asks first after a gap learns of it, be it the pulse or a look at the nodes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often the process notes that it runs.
const PULSE_EVERY: Duration = Duration::from_millis(250);
/// A pause between two notes that shows that the process did not run.
const GAP_MAX: Duration = Duration::from_secs(2);

/// When this process ran last, and how many gaps there were.
#[derive(Debug)]
pub(super) struct GapWatch(Mutex<(Instant, u64)>);

impl GapWatch {
    /// Begins at `now`, without a gap.
    pub(super) fn begin(now: Instant) -> Self {
        Self(Mutex::new((now, 0)))
    }

    /// Notes that the process runs at `now`, and gives the number of gaps so far.
    pub(super) fn note(&self, now: Instant) -> u64 {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, gaps) = *noted;
        let is_gap = now.saturating_duration_since(last) > GAP_MAX;
        *noted = (now, gaps + u64::from(is_gap));
        noted.1
    }

    /// Notes all the time that the process runs, also while the log takes long to answer whoever looks.
    pub(super) async fn pulse(&self) {
        let mut pulse = interval(PULSE_EVERY);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            pulse.tick().await;
            self.note(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_noticed_by_whoever_asks_first_and_counted_once() {
        let start = Instant::now();
        let gaps = GapWatch::begin(start);
        let counts =
            [0, 250, 2_250, 2_500, 42_500, 42_501, 42_750].map(|ms| gaps.note(start + Duration::from_millis(ms)));
        assert_eq!(counts, [0, 0, 0, 0, 1, 1, 1]);
    }
}
