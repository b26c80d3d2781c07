//! How long a lease certainly lasts.
//!
//! Invariant: a lease counts from the time of the request, not of the answer, so that it ends here before it can end in the log.
//! The clock (CLOCK_BOOTTIME) goes on while the machine sleeps, and can't be set.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A command is killed so long before its lease ends: it must be dead when another runtime may start.
pub const KILL_BEFORE: Duration = Duration::from_secs(1);

/// Time since the machine started, its sleep included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uptime(pub Duration);

impl Uptime {
    /// The present time of CLOCK_BOOTTIME.
    #[must_use]
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::Boottime);
        Self(Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default()))
    }
}

/// A job's lease, from the time it was requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    asked: Uptime,
    lasts: Duration,
}

impl Lease {
    /// A lease of `lease_s` seconds that was requested at `asked`.
    #[must_use]
    pub fn since(asked: Uptime, lease_s: u32) -> Self {
        Self { asked, lasts: Duration::from_secs(lease_s.into()) }
    }

    /// How long a command may still run at `now`.
    #[must_use]
    pub fn remaining(&self, now: Uptime) -> Duration {
        (self.asked.0 + self.lasts).saturating_sub(now.0).saturating_sub(KILL_BEFORE)
    }

    /// Whether a command with this timeout can start: either it ends before the lease does, or the lease is fresh enough to be
    /// renewed while the command runs.
    #[must_use]
    pub fn lets_start(&self, now: Uptime, timeout: Duration) -> bool {
        self.remaining(now) > timeout.min(self.lasts / 2)
    }

    /// Whether to renew it now: after a quarter, so that two more attempts can fail.
    #[must_use]
    pub fn is_to_be_renewed(&self, now: Uptime) -> bool {
        now.0 >= self.asked.0 + self.lasts / 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_command_starts_only_under_a_lease_that_lasts() {
        let lease = Lease::since(Uptime(s(1000)), 60);
        for (now, within, lets) in [
            (1000, 10, true),
            (1000, 600, true),
            (1028, 600, true),
            (1029, 600, false),
            (1048, 10, true),
            (1049, 10, false),
            (1058, 1, false),
            (1059, 0, false),
            (1060, 0, false),
            (9999, 0, false),
        ] {
            assert_eq!(lease.lets_start(Uptime(s(now)), s(within)), lets, "{now} {within}");
        }
    }

    #[test]
    fn a_command_is_killed_before_its_lease_ends() {
        let lease = Lease::since(Uptime(s(1000)), 60);
        for (now, left) in [(1000, 59), (1058, 1), (1059, 0), (1060, 0), (5000, 0)] {
            assert_eq!(lease.remaining(Uptime(s(now))), s(left), "{now}");
        }
    }

    #[test]
    fn a_lease_is_renewed_early() {
        let lease = Lease::since(Uptime(s(1000)), 60);
        for (now, is_due) in [(1000, false), (1014, false), (1015, true), (1060, true)] {
            assert_eq!(lease.is_to_be_renewed(Uptime(s(now))), is_due, "{now}");
        }
    }

    #[test]
    fn the_clock_goes_on() {
        let before = Uptime::now();
        assert!(before > Uptime::default() && Uptime::now() >= before);
    }
}
