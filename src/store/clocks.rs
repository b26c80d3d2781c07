//! Which clock is right, decided before an event is dated by it. Pure.
//!
//! An event's time is never before that of the event before it, so one event that is dated far ahead dates all that follow. This
//! server's clock is therefore held against PostgreSQL's before anything is appended. Where PostgreSQL's own clock is behind the
//! last event, one of the two is wrong, and NATS's clock tells which.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant as Moment};

use schema::instant::Instant;

/// How far two clocks may be apart before one of them is called wrong.
pub(crate) const APART_MAX: Duration = Duration::from_secs(60);
/// How long a reading of NATS's clock is used: a suspended machine does not count the time.
const HEARD_MAX: Duration = Duration::from_secs(30);

/// The last reading of NATS's clock. Cheap to clone; all clones share it.
#[derive(Clone, Debug, Default)]
pub struct NatsClock(Arc<Mutex<Option<(Instant, Moment)>>>);

impl NatsClock {
    /// Records a reading.
    pub fn said(&self, time: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((time, Moment::now()));
    }

    /// The time on NATS's clock now; `None` without a recent reading.
    pub(crate) fn now(&self) -> Option<Instant> {
        let (time, at) = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some(at.elapsed()).filter(|since| *since <= HEARD_MAX).map(|since| later(time, since))
    }
}

/// What each clock said at one time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    /// This server's, read before PostgreSQL was asked, so that no waiting makes it look ahead.
    pub(crate) server: Instant,
    /// PostgreSQL's.
    pub(crate) postgres: Instant,
    /// NATS's, if it is known.
    pub(crate) nats: Option<Instant>,
    /// The time of the last event.
    pub(crate) head: Instant,
}

/// How events may be dated now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dating {
    /// No event may be dated by a later clock.
    pub(crate) latest: Instant,
    /// What is wrong with the log's time or with a clock, though this server may append.
    pub(crate) doubt: Option<Doubt>,
}

/// The server's clock is ahead, so it appends nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this server's clock says {server}, which is {} ahead of {of}'s ({time}): nothing is appended, because events would be dated in \
     the future for ever. Put right the clock that is wrong (NTP); this server then goes on by itself",
    apart(*time, *server)
)]
pub struct ClockAhead {
    /// This server's clock.
    pub server: Instant,
    /// Whose clock it was held against.
    pub of: &'static str,
    /// What that said.
    pub time: Instant,
}

/// What is wrong while events are appended all the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// PostgreSQL's clock is wrong.
    #[error(
        "PostgreSQL's clock says {postgres}, which is {} behind the last event ({head}), and NATS's says {nats}: PostgreSQL's is the \
         wrong one, and events are dated by at most NATS's time. Put right the clock of PostgreSQL's machine (NTP)",
        apart(*postgres, *head)
    )]
    PostgresBehind {
        /// PostgreSQL's clock.
        postgres: Instant,
        /// NATS's clock.
        nats: Instant,
        /// The time of the last event.
        head: Instant,
    },
    /// The log has an event that is dated in the future.
    #[error(
        "the log's time is {} ahead: its last event is dated {head}, while PostgreSQL's clock says {postgres} and NATS's {nats}. A \
         server whose clock was wrong has appended it. Commands are taken, and dated {head} until that time has come; a time \
         between now and then (?at=) means what was before that event",
        apart(*postgres, *head)
    )]
    LogAhead {
        /// PostgreSQL's clock.
        postgres: Instant,
        /// NATS's clock.
        nats: Instant,
        /// The time of the last event.
        head: Instant,
    },
    /// One of the two is wrong.
    #[error(
        "the last event is dated {head}, which is {} ahead of PostgreSQL's clock ({postgres}): one of the two is wrong, and NATS, \
         whose clock would tell which, can't be asked. Commands are taken, and dated {head}",
        apart(*postgres, *head)
    )]
    Undecided {
        /// PostgreSQL's clock.
        postgres: Instant,
        /// The time of the last event.
        head: Instant,
    },
}

impl Clocks {
    /// How events may be dated by these clocks.
    pub(crate) fn dating(&self) -> Result<Dating, ClockAhead> {
        let Self { postgres, nats, head, .. } = *self;
        let latest = later(postgres, APART_MAX);
        if head <= latest {
            self.bounded("PostgreSQL", postgres)?;
            return Ok(Dating { latest, doubt: None });
        }
        let Some(nats) = nats else {
            // Dated as the last event is, no event moves the log's time, whoever is wrong.
            return Ok(Dating { latest: head, doubt: Some(Doubt::Undecided { postgres, head }) });
        };
        if head <= later(nats, APART_MAX) {
            self.bounded("NATS", nats)?;
            let doubt = Some(Doubt::PostgresBehind { postgres, nats, head });
            return Ok(Dating { latest: later(nats, APART_MAX), doubt });
        }
        let (of, time) = if nats > postgres { ("NATS", nats) } else { ("PostgreSQL", postgres) };
        self.bounded(of, time)?;
        Ok(Dating { latest: head, doubt: Some(Doubt::LogAhead { postgres, nats, head }) })
    }

    /// How far the log's time is ahead of the latest clock that is trusted.
    pub(crate) fn log_ahead(&self) -> Duration {
        let present = self.nats.map_or(self.postgres, |nats| nats.max(self.postgres));
        apart_by(present, self.head)
    }

    fn bounded(&self, of: &'static str, time: Instant) -> Result<(), ClockAhead> {
        let server = self.server;
        if server > later(time, APART_MAX) { Err(ClockAhead { server, of, time }) } else { Ok(()) }
    }
}

/// This long after a time.
fn later(time: Instant, by: Duration) -> Instant {
    let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    Instant::from_unix_micros(time.unix_micros().saturating_add(micros))
}

/// From one time to a later one; nothing if it is not later.
fn apart_by(from: Instant, to: Instant) -> Duration {
    let micros = to.unix_micros().saturating_sub(from.unix_micros());
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

/// From one time to a later one, in words.
fn apart(from: Instant, to: Instant) -> String {
    let seconds = apart_by(from, to).as_secs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;
    const YEARS: i64 = 50 * 365 * 86_400;

    fn at(seconds: i64) -> Instant {
        Instant::from_unix_micros(seconds * 1_000_000)
    }

    fn clocks(server: i64, postgres: i64, nats: Option<i64>, head: i64) -> Clocks {
        Clocks {
            server: at(NOW + server),
            postgres: at(NOW + postgres),
            nats: nats.map(|nats| at(NOW + nats)),
            head: at(NOW + head),
        }
    }

    /// What comes of clocks that are this many seconds off, with a last event that is: how late an event may be dated, in seconds
    /// from now, and what is in doubt.
    fn dated(server: i64, postgres: i64, nats: Option<i64>, head: i64) -> Result<(i64, &'static str), &'static str> {
        let dating = clocks(server, postgres, nats, head).dating().map_err(|ahead| ahead.of)?;
        let doubt = match dating.doubt {
            None => "",
            Some(Doubt::PostgresBehind { .. }) => "postgres behind",
            Some(Doubt::LogAhead { .. }) => "log ahead",
            Some(Doubt::Undecided { .. }) => "undecided",
        };
        Ok((dating.latest.unix_micros() / 1_000_000 - NOW, doubt))
    }

    #[test]
    fn a_clock_that_is_ahead_of_the_one_that_is_right_appends_nothing() {
        for (clocks, dating) in [
            // A minute is not yet wrong, be the last event old or new.
            ((0, 0, Some(0), -9), Ok((60, ""))),
            ((60, 0, None, 60), Ok((60, ""))),
            ((61, 0, Some(0), -9), Err("PostgreSQL")),
            ((YEARS, 0, None, -YEARS), Err("PostgreSQL")),
            // A server that is behind spoils nothing.
            ((-YEARS, 0, Some(0), -9), Ok((60, ""))),
            // PostgreSQL's clock is behind the last event, and NATS's is not.
            ((0, -3_600, Some(0), -9), Ok((60, "postgres behind"))),
            ((61, -3_600, Some(0), -9), Err("NATS")),
            ((0, -YEARS, Some(-30), -9), Ok((30, "postgres behind"))),
            // Both are behind it: the log is ahead, and goes on without moving.
            ((0, 0, Some(0), YEARS), Ok((YEARS, "log ahead"))),
            ((0, 0, Some(-YEARS), YEARS), Ok((YEARS, "log ahead"))),
            ((0, -3_600, Some(0), YEARS), Ok((YEARS, "log ahead"))),
            ((61, 0, Some(0), YEARS), Err("PostgreSQL")),
            ((2 * YEARS, 0, Some(0), YEARS), Err("PostgreSQL")),
            // Nobody tells which is wrong: nothing moves the log's time.
            ((0, -3_600, None, -9), Ok((-9, "undecided"))),
            ((0, 0, None, YEARS), Ok((YEARS, "undecided"))),
        ] {
            let (server, postgres, nats, head) = clocks;
            assert_eq!(dated(server, postgres, nats, head), dating, "{clocks:?}");
        }
    }

    #[test]
    fn the_log_is_ahead_of_the_latest_clock_that_is_known() {
        for (postgres, nats, head, ahead) in
            [(0, None, -9, 0), (0, None, 90, 90), (-3_600, Some(0), -9, 0), (-3_600, Some(-10), 90, 100)]
        {
            assert_eq!(clocks(0, postgres, nats, head).log_ahead(), Duration::from_secs(ahead));
        }
    }

    #[test]
    fn what_nats_said_goes_on_with_time_and_is_not_good_for_ever() {
        let clock = NatsClock::default();
        assert_eq!(clock.now(), None);
        clock.said(at(NOW));
        let said = clock.now().expect("it was asked");
        assert!(at(NOW) <= said && said < at(NOW + 20), "{said}");
        *clock.0.lock().expect("nobody panicked") =
            Moment::now().checked_sub(2 * HEARD_MAX).map(|then| (at(NOW), then));
        assert_eq!(clock.now(), None);
    }

    #[test]
    fn what_is_refused_names_both_clocks_and_what_to_do() {
        let said = clocks(YEARS, 0, None, 0).dating().expect_err("50 years").to_string();
        for words in ["2077-", "2027-", "18250 days", "PostgreSQL", "NTP"] {
            assert!(said.contains(words), "{words}: {said}");
        }
    }
}
