//! How often what a node says is written into the log.
//!
//! What always holds: a second lies between two lines of one node; in the long run it gets one line in five minutes, and ten
//! more in a burst. Beside these it gets at once, and not counted, the first line that says that a record failed and the first
//! that says that it is good; a node can't make more of those than administrators make records for it.

use std::time::Duration;

use schema::position::Position;
use schema::report::Summary;
use tokio::time::Instant;

/// Between two lines of one node, at least.
pub const BETWEEN_LINES_MIN: Duration = Duration::from_secs(1);
/// Between two lines of a node that has something else to say all the time.
pub const BETWEEN_LINES_MAX: Duration = Duration::from_secs(5 * 60);

/// When a node had lines, and which.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RateLimit {
    /// The last line.
    last: Option<Instant>,
    /// The last line that counts.
    counted: Option<Instant>,
    /// How many of those there were, less one for every five minutes since.
    count: u32,
    failed: FirstMention,
    good: FirstMention,
}

/// The newest record of which something was said for the first time.
#[derive(Clone, Copy, Debug, Default)]
struct FirstMention {
    said: Position,
    /// The node's record at that time.
    record: Position,
}

impl RateLimit {
    /// When the next line may come at the earliest; nothing if that is now.
    pub(super) fn earliest(&self) -> Option<Instant> {
        self.last.map(|last| last + BETWEEN_LINES_MIN)
    }

    /// When a line that says this may come; nothing if that is now. `record` is the position of the node's record.
    pub(super) fn next(&self, record: Position, summary: &Summary) -> Option<Instant> {
        if self.is_first(record, summary) {
            return self.earliest();
        }
        let pause = BETWEEN_LINES_MIN * 2_u32.saturating_pow(self.count.saturating_sub(1));
        let counted = self.counted.map(|counted| counted + pause.min(BETWEEN_LINES_MAX));
        counted.max(self.earliest())
    }

    /// A line that says this is given out.
    pub(super) fn give(&mut self, now: Instant, record: Position, summary: &Summary) {
        if self.is_first(record, summary) {
            self.failed.note(record, failed(summary));
            self.good.note(record, good(summary));
        } else {
            let since = self.counted.map_or(Duration::ZERO, |counted| now.saturating_duration_since(counted));
            let over = u32::try_from(since.as_secs() / BETWEEN_LINES_MAX.as_secs()).unwrap_or(u32::MAX);
            (self.counted, self.count) = (Some(now), self.count.saturating_sub(over) + 1);
        }
        self.last = Some(now);
    }

    /// A line that was given out was not written, and is due again in a second.
    pub(super) fn put_off(&mut self, now: Instant) {
        self.last = Some(now);
    }

    fn is_first(&self, record: Position, summary: &Summary) -> bool {
        self.failed.is_first(record, failed(summary)) || self.good.is_first(record, good(summary))
    }
}

/// The record that failed.
fn failed(summary: &Summary) -> Option<Position> {
    summary.failed.as_ref().map(|failed| failed.mark.position)
}

/// The record that runs and is good.
fn good(summary: &Summary) -> Option<Position> {
    summary.running.filter(|running| summary.good() == Some(*running)).map(|running| running.position)
}

impl FirstMention {
    /// Whether something is said of a record for the first time. A node that lags is believed in a record that is newer than
    /// what was its newest at the last such time, so that every such time takes a new record.
    fn is_first(&self, record: Position, said: Option<Position>) -> bool {
        said.is_some_and(|said| self.said < said && said <= record && (self.record < said || said == record))
    }

    fn note(&mut self, record: Position, said: Option<Position>) {
        if let Some(said) = said.filter(|_| self.is_first(record, said)) {
            *self = Self { said, record };
        }
    }
}
