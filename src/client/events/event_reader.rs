//! Reads events from the server, and checks that their positions rise.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use api::log::LogStatus;
use api::path::{EVENTS, LOG};
use api::query::AFTER;
use schema::instant::Instant;
use schema::position::Position;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::api_client::{ApiClient, with_query};
use crate::error::Error as ClientError;
use crate::get::Error;
use crate::server_sent_events::ServerSentEvents;

/// Events on a page: even if each is as large as it may be, the page is within the limit of an answer.
const PAGE_EVENTS: usize = 200;
/// Positions in which the last events are looked for first; the window doubles each time that it holds too few.
const WINDOW_FIRST: u64 = 200;

/// An event. It stays JSON, so that events of a newer server are shown, too.
#[derive(Clone, Debug)]
pub(crate) struct ReceivedEvent {
    /// The server's JSON, on one line.
    pub(crate) json: String,
    pub(crate) value: Value,
    pub(crate) position: u64,
}

/// The server, and which of its events are wanted.
#[derive(Debug)]
pub(crate) struct EventReader {
    pub(crate) client: ApiClient,
    /// Query parameters that narrow the events down.
    pub(crate) filter: Vec<(&'static str, String)>,
    /// Whether reports of nodes are left out.
    pub(crate) no_reports: bool,
}

impl EventReader {
    /// The last position of the log.
    pub(crate) async fn head(&self) -> Result<u64, ClientError> {
        let log: LogStatus = self.client.get(LOG).await?;
        Ok(log.position.get())
    }

    /// Gives every wanted event after `after` and up to `up_to` to `take`, until `take` breaks off.
    pub(crate) async fn for_each(
        &self,
        after: u64,
        up_to: u64,
        mut take: impl FnMut(ReceivedEvent) -> Result<ControlFlow<()>, Error>,
    ) -> Result<(), Error> {
        let filter: Vec<(&str, &str)> = self.filter.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let (mut cursor, mut last) = (after, after);
        loop {
            // The cursor of this list is a position.
            let page = self.client.get_page::<Box<RawValue>>(EVENTS, &filter, &cursor.to_string(), PAGE_EVENTS).await?;
            for json in page.items {
                let event = self.parse(json.get(), last)?;
                last = event.position;
                if last > up_to || (self.is_wanted(&event) && take(event)?.is_break()) {
                    return Ok(());
                }
            }
            let Some(next) = page.next else { return Ok(()) };
            cursor =
                next.parse().ok().filter(|next| *next > cursor).ok_or_else(|| self.client.no_progress(EVENTS, next))?;
            if cursor >= up_to {
                return Ok(());
            }
        }
    }

    /// The last `count` wanted events after `after`, and the last position of the log.
    pub(crate) async fn last(&self, count: usize, after: u64) -> Result<(VecDeque<ReceivedEvent>, u64), Error> {
        let head = self.head().await?;
        let (mut found, mut end, mut window) = (VecDeque::new(), head, WINDOW_FIRST.max(count as u64));
        while found.len() < count && end > after {
            let begin = end.saturating_sub(window).max(after);
            let mut newest = VecDeque::new();
            self.for_each(begin, end, |event| {
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

    /// The last position before a time, by binary search: times in the log rise with positions.
    pub(crate) async fn position_before(&self, time: Instant) -> Result<u64, Error> {
        let (mut low, mut high) = (0, self.head().await?);
        while low < high {
            let middle = Position::from(low + (high - low).div_ceil(2));
            let at = self.time_of(middle).await?;
            (low, high) = if at < time { (middle.get(), high) } else { (low, middle.previous().get()) };
        }
        Ok(low)
    }

    async fn time_of(&self, position: Position) -> Result<Instant, ClientError> {
        #[derive(Deserialize)]
        struct DatedEvent {
            position: Position,
            at: Instant,
        }
        let page = self.client.get_page::<DatedEvent>(EVENTS, &[], &position.previous().to_string(), 1).await?;
        let found = page.items.first().filter(|event| event.position == position);
        found.map(|event| event.at).ok_or_else(|| self.client.no_progress(EVENTS, position.to_string()))
    }

    /// Opens the live stream after a position.
    pub(crate) async fn open_stream(&self, after: u64) -> Result<ServerSentEvents, ClientError> {
        let from = after.to_string();
        let filter = self.filter.iter().map(|(name, text)| (*name, text.as_str()));
        let query: Vec<(&str, &str)> = filter.chain([(AFTER, from.as_str())]).collect();
        self.client.open_stream(&with_query(EVENTS, &query)).await
    }

    /// Parses an event, whose position must be after `last`.
    pub(crate) fn parse(&self, json: &str, last: u64) -> Result<ReceivedEvent, ClientError> {
        let value: Value = serde_json::from_str(json)
            .map_err(|source| ClientError::UnreadableAnswer { url: self.client.url().join(EVENTS), source })?;
        let position = value["position"].as_u64().filter(|position| *position > last);
        let position = position.ok_or_else(|| self.client.no_progress(EVENTS, value["position"].to_string()))?;
        // A line feed in JSON text is layout only, so that it can be replaced.
        Ok(ReceivedEvent { json: json.replace('\n', " "), value, position })
    }

    /// Whether an event is to be shown.
    pub(crate) fn is_wanted(&self, event: &ReceivedEvent) -> bool {
        let is_report = event.value["entity"].as_str().is_some_and(|entity| entity.starts_with("report/"));
        !(self.no_reports && is_report)
    }
}
