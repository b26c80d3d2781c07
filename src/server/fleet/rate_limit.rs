//! Limits how often reports of one node become events.
//!
//! What always holds: at least a second lies between two events of one node; in the long run a node gets one event in five minutes, and
//! ten more in a burst. Beside these, and not counted, it gets at once the first event that says that a record failed and the first that
//! says that it is good; a node can't cause more of those than administrators make records for it.

use std::time::Duration;

use schema::position::Position;
use schema::report::ReportSummary;
use tokio::time::Instant;

/// The shortest time between two events of one node.
pub const EVENT_EVERY_MIN: Duration = Duration::from_secs(1);
/// The time between two events of a node whose reports change all the time.
pub const EVENT_EVERY_MAX: Duration = Duration::from_secs(5 * 60);

/// The latest events of a node.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RateLimit {
    /// The time of the last event.
    last: Option<Instant>,
    /// The time of the last event that counts.
    counted: Option<Instant>,
    /// How many events count, less one for every five minutes since.
    counted_events: u32,
    failed: FirstMention,
    good: FirstMention,
}

/// The newest record of which something was reported for the first time.
#[derive(Clone, Copy, Debug, Default)]
struct FirstMention {
    reported: Position,
    /// The node's newest record at that time.
    record: Position,
}

impl RateLimit {
    /// The earliest time of the next event; nothing if that is now.
    pub(super) fn earliest(&self) -> Option<Instant> {
        self.last.map(|last| last + EVENT_EVERY_MIN)
    }

    /// When an event with this summary may come; nothing if that is now. `record` is the position of the node's record.
    pub(super) fn next(&self, record: Position, summary: &ReportSummary) -> Option<Instant> {
        if self.is_first(record, summary) {
            return self.earliest();
        }
        let pause = EVENT_EVERY_MIN * 2_u32.saturating_pow(self.counted_events.saturating_sub(1));
        let counted = self.counted.map(|counted| counted + pause.min(EVENT_EVERY_MAX));
        counted.max(self.earliest())
    }

    /// Counts an event with this summary.
    pub(super) fn count(&mut self, now: Instant, record: Position, summary: &ReportSummary) {
        if self.is_first(record, summary) {
            self.failed.update(record, failed(summary));
            self.good.update(record, good(summary));
        } else {
            let since = self.counted.map_or(Duration::ZERO, |counted| now.saturating_duration_since(counted));
            let over = u32::try_from(since.as_secs() / EVENT_EVERY_MAX.as_secs()).unwrap_or(u32::MAX);
            (self.counted, self.counted_events) = (Some(now), self.counted_events.saturating_sub(over) + 1);
        }
        self.last = Some(now);
    }

    /// An event that was counted could not be appended, and is due again in a second.
    pub(super) fn put_off(&mut self, now: Instant) {
        self.last = Some(now);
    }

    fn is_first(&self, record: Position, summary: &ReportSummary) -> bool {
        self.failed.is_first(record, failed(summary)) || self.good.is_first(record, good(summary))
    }
}

/// The record that failed.
fn failed(summary: &ReportSummary) -> Option<Position> {
    summary.failed.as_ref().map(|failed| failed.record.position)
}

/// The record that runs and is good.
fn good(summary: &ReportSummary) -> Option<Position> {
    summary.running.filter(|running| summary.good() == Some(*running)).map(|running| running.position)
}

impl FirstMention {
    /// Whether this is the first report about the record at position `about`. Of a node that lags, only a record counts that is newer
    /// than the newest was at the last first report, so that each of these takes a new record.
    fn is_first(&self, record: Position, about: Option<Position>) -> bool {
        about.is_some_and(|about| self.reported < about && about <= record && (self.record < about || about == record))
    }

    fn update(&mut self, record: Position, about: Option<Position>) {
        if let Some(reported) = about.filter(|_| self.is_first(record, about)) {
            *self = Self { reported, record };
        }
    }
}
