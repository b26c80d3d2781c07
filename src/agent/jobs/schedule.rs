//! When a job is due: cron in UTC, with the same parser that the server used to accept the schedule.
//!
//! Invariants: each due time is served once; of several that passed while the job could not run, only the last is served. The
//! clock is an argument.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use schema::instant::Instant;

const SECOND_US: i64 = 1_000_000;
/// If the clock is set back by less, no due time is repeated. If by more, it was wrong before, and the job must not wait until
/// that wrong time comes.
const SET_BACK_US_MAX: i64 = 3600 * SECOND_US;

/// A parsed cron expression.
#[derive(Clone, Debug)]
pub struct CronSchedule(Cron);

impl CronSchedule {
    /// Parses cron of five fields, or six with seconds first.
    ///
    /// # Errors
    /// The parser's message.
    pub fn parse(schedule: &str) -> Result<Self, String> {
        let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        parser.parse(schedule).map(Self).map_err(|error| error.to_string())
    }

    /// The first due time after `time`; none for a day that never comes, such as February 30.
    #[must_use]
    pub fn first_after(&self, time: Instant) -> Option<Instant> {
        self.0.find_next_occurrence(&civil(time)?, false).ok().and_then(instant)
    }

    /// The last due time up to and including `time`.
    #[must_use]
    pub fn last_until(&self, time: Instant) -> Option<Instant> {
        self.0.find_previous_occurrence(&civil(time)?, true).ok().and_then(instant)
    }
}

/// Cut to whole seconds, the resolution of cron.
fn civil(time: Instant) -> Option<DateTime> {
    let seconds = Timestamp::from_second(time.unix_micros().div_euclid(SECOND_US)).ok()?;
    Some(TimeZone::UTC.to_datetime(seconds))
}

fn instant(time: DateTime) -> Option<Instant> {
    let time = TimeZone::UTC.to_timestamp(time).ok()?;
    Some(Instant::from_unix_micros(time.as_microsecond()))
}

/// One job's due times, and how far they were served.
#[derive(Clone, Debug)]
pub struct JobSchedule {
    times: CronSchedule,
    served: Instant,
    /// Cached: the search for a day that never comes takes long.
    next: Option<Instant>,
}

impl JobSchedule {
    /// All due times up to `served` are served.
    #[must_use]
    pub fn after(times: CronSchedule, served: Instant) -> Self {
        let next = times.first_after(served);
        Self { times, served, next }
    }

    /// The due time to serve at `now`, if there is one.
    #[must_use]
    pub fn due(&mut self, now: Instant) -> Option<Instant> {
        if self.served.unix_micros() > now.unix_micros().saturating_add(SET_BACK_US_MAX) {
            self.mark_served(now);
        }
        self.next.filter(|next| *next <= now)?;
        self.times.last_until(now).filter(|due| *due > self.served)
    }

    /// Marks all due times up to `due` as served.
    pub fn mark_served(&mut self, due: Instant) {
        self.served = due;
        self.next = self.times.first_after(due);
    }

    /// The next due time; it may have passed.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &str) -> Instant {
        time.parse().expect("a time")
    }

    fn job_schedule(cron: &str, served: &str) -> JobSchedule {
        JobSchedule::after(CronSchedule::parse(cron).expect("a schedule"), at(served))
    }

    #[test]
    fn the_last_due_time_that_was_not_served_is_due() {
        for (schedule, served, now, due) in [
            ("*/5 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:04:59.999Z", None),
            ("*/5 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z", Some("2026-01-01T00:05:00Z")),
            ("*/5 * * * *", "2026-01-01T00:00:00.5Z", "2026-01-01T00:05:00Z", Some("2026-01-01T00:05:00Z")),
            ("*/5 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:17:30.7Z", Some("2026-01-01T00:15:00Z")),
            ("*/5 * * * *", "2026-01-01T00:05:00Z", "2026-01-01T00:05:00.9Z", None),
            ("*/2 * * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:00:03Z", Some("2026-01-01T00:00:02Z")),
            ("30 */5 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:00:30Z", Some("2026-01-01T00:00:30Z")),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-28T23:59:59Z", None),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z", Some("2028-02-29T00:00:00Z")),
            ("0 6 * * MON-FRI", "2026-01-02T07:00:00Z", "2026-01-05T05:59:59Z", None),
            ("0 6 * * MON-FRI", "2026-01-02T07:00:00Z", "2026-01-05T06:00:01Z", Some("2026-01-05T06:00:00Z")),
            ("0 0 30 2 *", "2026-01-01T00:00:00Z", "2040-01-01T00:00:00Z", None),
            ("30 2 * * *", "2026-03-28T03:00:00Z", "2026-03-29T02:30:00Z", Some("2026-03-29T02:30:00Z")),
        ] {
            assert_eq!(job_schedule(schedule, served).due(at(now)), due.map(at), "{schedule} {served} {now}");
        }
    }

    #[test]
    fn what_was_served_is_not_due_again() {
        let (mut schedule, now) = (job_schedule("* * * * *", "2026-01-01T00:00:00Z"), at("2026-01-01T00:03:20Z"));
        let due = schedule.due(now).expect("due");
        schedule.mark_served(due);
        assert_eq!((schedule.due(now), schedule.next()), (None, Some(at("2026-01-01T00:04:00Z"))));
    }

    #[test]
    fn a_clock_that_is_set_back_repeats_nothing_and_starves_nobody() {
        let mut schedule = job_schedule("* * * * *", "2026-01-01T12:00:00Z");
        assert_eq!(schedule.due(at("2026-01-01T11:30:00Z")), None);
        assert_eq!(schedule.due(at("2026-01-01T12:01:00Z")), Some(at("2026-01-01T12:01:00Z")));
        schedule.mark_served(at("2099-01-01T00:00:00Z"));
        assert_eq!(schedule.due(at("2026-01-01T12:02:30Z")), None);
        assert_eq!(schedule.due(at("2026-01-01T12:03:00Z")), Some(at("2026-01-01T12:03:00Z")));
    }

    #[test]
    fn no_schedule_is_no_time() {
        for text in ["", "* * * *", "* * * * * * *", "61 * * * *", "soon"] {
            assert!(CronSchedule::parse(text).is_err(), "{text}");
        }
    }
}
