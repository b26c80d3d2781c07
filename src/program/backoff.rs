//! Exponential back-off with jitter, so that many clients do not retry in step.

use std::time::Duration;

/// Pauses that double from one failure to the next.
#[derive(Clone, Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Default for Backoff {
    /// From 100 ms to 10 s.
    fn default() -> Self {
        Self::between(Duration::from_millis(100), Duration::from_secs(10))
    }
}

impl Backoff {
    /// Pauses from `min`, doubling, to `max`.
    #[must_use]
    pub const fn between(min: Duration, max: Duration) -> Self {
        Self { min, max, failures: 0 }
    }

    /// Failures since the last success.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Counts a failure and gives the pause after it, of which a random part of up to half is taken away.
    pub fn failed(&mut self) -> Duration {
        let full = self.min.saturating_mul(1 << self.failures.min(16)).min(self.max);
        self.failures = self.failures.saturating_add(1);
        full.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// The pause before an attempt that the caller counts (from 1): none before the first.
    #[must_use]
    pub fn before(&self, attempt: usize) -> Duration {
        let Some(failures) = attempt.checked_sub(2) else { return Duration::ZERO };
        let failures = u32::try_from(failures).unwrap_or(u32::MAX);
        Self { failures, ..self.clone() }.failed()
    }

    /// Call after a success.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_are_never_in_step() {
        let (min, max) = (Duration::from_millis(50), Duration::from_secs(4));
        let mut backoff = Backoff::between(min, max);
        for _ in 0..200 {
            assert!((min / 2..=max).contains(&backoff.failed()));
        }
        assert!(backoff.failed() >= max / 2);
        assert!((0..10).map(|_| backoff.failed()).collect::<BTreeSet<_>>().len() > 1);
        backoff.reset();
        assert!(backoff.failed() <= min);
    }

    #[test]
    fn the_first_attempt_waits_for_nothing() {
        let backoff = Backoff::default();
        assert_eq!(backoff.before(1), Duration::ZERO);
        assert!(backoff.before(2) >= Duration::from_millis(50));
        assert!(backoff.before(usize::MAX) >= Duration::from_secs(5));
    }
}
