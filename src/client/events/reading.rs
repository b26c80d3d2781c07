//! Events as the door gives them: each after the one before it, whatever the door says.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use schema::instant::Instant;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::door::{Door, asked};
use crate::error::Error as ClientError;
use crate::get::Error;
use crate::stream::Stream;

const PATH: &str = "/v1/events";
/// Events on a page: as large as they may be, so many are within what is read of an answer.
const PAGE_EVENTS: usize = 200;
/// Positions that are looked through first for the last events; twice as many each time that too few are found.
const WINDOW_FIRST: u64 = 200;

/// An event.
#[derive(Clone, Debug)]
pub(super) struct Event {
    /// As the door wrote it.
    pub(super) words: String,
    pub(super) value: Value,
    pub(super) position: u64,
}

/// Where to read, and which events.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) door: Door,
    /// What the door is asked to narrow it to.
    pub(super) narrowed: Vec<(&'static str, String)>,
    /// Whether what nodes said of themselves is left out.
    pub(super) no_reports: bool,
}

/// What of the log's own words is of use here.
#[derive(Deserialize)]
struct Log {
    position: u64,
}

impl Reading {
    /// Where the log ends.
    pub(super) async fn head(&self) -> Result<u64, ClientError> {
        let log: Log = self.door.get("/v1/log").await?;
        Ok(log.position)
    }

    /// Every event after a position that is wanted, up to another one, until `take` has enough.
    pub(super) async fn each(
        &self,
        after: u64,
        up_to: u64,
        mut take: impl FnMut(Event) -> Result<ControlFlow<()>, Error>,
    ) -> Result<(), Error> {
        let narrowed: Vec<(&str, &str)> = self.narrowed.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let (mut cursor, mut last) = (after, after);
        loop {
            // The cursor of this list is a position.
            let page = self.door.page::<Box<RawValue>>(PATH, &narrowed, &cursor.to_string(), PAGE_EVENTS).await?;
            for words in page.items {
                let event = self.event(words.get(), last)?;
                last = event.position;
                if last > up_to || (self.wants(&event) && take(event)?.is_break()) {
                    return Ok(());
                }
            }
            let Some(next) = page.next else { return Ok(()) };
            cursor =
                next.parse().ok().filter(|next| *next > cursor).ok_or_else(|| self.door.no_progress(PATH, next))?;
            if cursor >= up_to {
                return Ok(());
            }
        }
    }

    /// The last events after a position that are wanted, up to the end of the log, and that end.
    pub(super) async fn last(&self, count: usize, after: u64) -> Result<(VecDeque<Event>, u64), Error> {
        let head = self.head().await?;
        let (mut found, mut end, mut window) = (VecDeque::new(), head, WINDOW_FIRST.max(count as u64));
        while found.len() < count && end > after {
            let begin = end.saturating_sub(window).max(after);
            let mut newest = VecDeque::new();
            self.each(begin, end, |event| {
                newest.push_back(event);
                if newest.len() + found.len() > count {
                    newest.pop_front();
                }
                Ok(ControlFlow::Continue(()))
            })
            .await?;
            newest.append(&mut found);
            (found, end, window) = (newest, begin, window.saturating_mul(2));
        }
        Ok((found, head))
    }

    /// The last position before a time. Times in the log rise with positions, so halving it finds one in a few reads.
    pub(super) async fn before(&self, time: Instant) -> Result<u64, Error> {
        let (mut low, mut high) = (0, self.head().await?);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            let at = self.time_of(middle).await?;
            (low, high) = if at < time { (middle, high) } else { (low, middle - 1) };
        }
        Ok(low)
    }

    async fn time_of(&self, position: u64) -> Result<Instant, ClientError> {
        #[derive(Deserialize)]
        struct Dated {
            position: u64,
            at: Instant,
        }
        let page = self.door.page::<Dated>(PATH, &[], &(position - 1).to_string(), 1).await?;
        let found = page.items.first().filter(|dated| dated.position == position);
        found.map(|dated| dated.at).ok_or_else(|| self.door.no_progress(PATH, position.to_string()))
    }

    /// The stream of what comes after a position.
    pub(super) async fn stream(&self, after: u64) -> Result<Stream, ClientError> {
        let from = after.to_string();
        let narrowed = self.narrowed.iter().map(|(name, text)| (*name, text.as_str()));
        let query: Vec<(&str, &str)> = narrowed.chain([("after", from.as_str())]).collect();
        self.door.follow(&asked(PATH, &query)).await
    }

    /// An event, which comes after the one at `last`.
    pub(super) fn event(&self, words: &str, last: u64) -> Result<Event, ClientError> {
        let value: Value = serde_json::from_str(words)
            .map_err(|source| ClientError::Strange { url: self.door.url().below(PATH), source })?;
        let position = value["position"].as_u64().filter(|position| *position > last);
        let position = position.ok_or_else(|| self.door.no_progress(PATH, value["position"].to_string()))?;
        // One line for each event: in JSON a line feed is layout.
        Ok(Event { words: words.replace('\n', " "), value, position })
    }

    /// Whether an event is shown.
    pub(super) fn wants(&self, event: &Event) -> bool {
        let is_report = event.value["entity"].as_str().is_some_and(|entity| entity.starts_with("report/"));
        !(self.no_reports && is_report)
    }
}
