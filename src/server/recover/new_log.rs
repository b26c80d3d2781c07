//! Begins a new log with the events that a restored database still has.
//!
//! What always holds: PostgreSQL first, in one transaction, then NATS. Run again after a crash between the two, it does what is left.

use program::output::{self, StdoutError};
use replay::checkpoint::Checkpoint;
use schema::change::{Change, LogBegun};
use schema::event::Event;
use schema::id::LogId;
use schema::position::Position;
use serde_json::json;
use store::new_log::begin_new_log;
use store::reader::EventPage;

use crate::continuity::{ContinuityError, check_checkpoint};
use crate::publish::checkpoint_bucket::CheckpointBucket;
use crate::publish::{event_stream, streams};

use super::{Error, Recovery};

/// The reason in the event.
const REASON: &str = "headwater recover --new-log: the end of the log before it was lost";

/// A log that was begun with the rest of another one.
#[derive(Debug)]
pub struct NewLog {
    log_id: LogId,
    from: LogId,
    /// The position of the event that names the old log.
    position: Position,
}

impl Recovery {
    pub(super) async fn begin_new_log(&self) -> Result<NewLog, Error> {
        if let Some(begun) = self.half_begun().await? {
            self.clear_nats().await?;
            return Ok(begun);
        }
        let lacks = match self.inspect().await {
            Ok((findings, _)) => findings.lacks_anything() || !self.goes_on().await?,
            Err(Error::TwoHistories(_)) => true,
            Err(error) => return Err(error),
        };
        if !lacks {
            return Err(Error::NothingLost);
        }
        let head = self.reader.head().await?;
        let begun = begin_new_log(&self.reader, &head, self.newest_note().await?, REASON).await;
        let (log_id, position) = begun.map_err(|error| match error.is_forbidden() {
            true => Error::NotOwner(error),
            false => error.into(),
        })?;
        self.clear_nats().await?;
        Ok(NewLog { log_id, from: head.log_id, position })
    }

    /// Whether the log goes on from the newest checkpoint outside PostgreSQL. It may be as long, and another log.
    pub(super) async fn goes_on(&self) -> Result<bool, Error> {
        let outside =
            CheckpointBucket::new(self.link.jetstream(), self.options.nats.nats_prefix.clone()).read().await?;
        let head = self.reader.head().await?;
        match check_checkpoint(&self.reader, &outside, (head.position, head.root)).await {
            Ok(_) => Ok(true),
            Err(ContinuityError::Log(error)) => Err(error.into()),
            Err(ContinuityError::Publish(error)) => Err(error.into()),
            Err(_) => Ok(false),
        }
    }

    /// The log, if it was begun as a new one and NATS still holds the old one.
    async fn half_begun(&self) -> Result<Option<NewLog>, Error> {
        let wanted = EventPage { limit: 1_000, event_type: Some("LogBegun".to_owned()), ..EventPage::default() };
        let begun = self.reader.events(wanted).await?;
        let of = |event: &Event| match event.change() {
            Ok(Change::LogBegun(LogBegun { from, .. })) if event.entity.id.as_str() == event.log_id.to_string() => {
                Some(NewLog { log_id: event.log_id, from, position: event.position })
            }
            _ => None,
        };
        let Some(begun) = begun.last().and_then(of) else { return Ok(None) };
        let (jetstream, prefix) = (self.link.jetstream(), &self.options.nats.nats_prefix);
        let last = event_stream::end(&jetstream, prefix).await?.and_then(|(_, event)| event);
        let note = CheckpointBucket::new(jetstream, prefix.clone()).read().await?.note;
        let is_signed = note.is_some_and(|note| Checkpoint::open(&note, begun.from, self.reader.public_key()).is_ok());
        Ok((is_signed || last.is_some_and(|last| last.log_id == begun.from)).then_some(begun))
    }

    /// The newest checkpoint that this log's key signed, outside PostgreSQL or in the table.
    async fn newest_note(&self) -> Result<Option<String>, Error> {
        let outside =
            CheckpointBucket::new(self.link.jetstream(), self.options.nats.nats_prefix.clone()).read().await?.note;
        let inside = self.reader.newest_checkpoint().await?.map(|kept| kept.note);
        let outside = outside.and_then(|note| String::from_utf8(note.to_vec()).ok());
        let opened = |note: String| {
            let signed = Checkpoint::open(note.as_bytes(), self.reader.log_id(), self.reader.public_key()).ok()?;
            Some((signed.position, note))
        };
        let newest = outside.into_iter().chain(inside).filter_map(opened).max_by_key(|(position, _)| *position);
        Ok(newest.map(|(_, note)| note))
    }

    async fn clear_nats(&self) -> Result<(), Error> {
        let replicas = usize::from(self.options.streams.nats_replicas);
        let prefix = &self.options.nats.nats_prefix;
        Ok(streams::clear_log(&self.link.jetstream(), prefix, replicas).await?)
    }
}

impl NewLog {
    pub(super) fn print(&self, json: bool) -> Result<(), StdoutError> {
        let Self { log_id, from, position } = self;
        if json {
            output::json(&format!("{:#}", json!({"log_id": log_id, "from": from, "position": position})))
        } else {
            output::text(&format!(
                "log {log_id} was begun at position {position}, with all that was left of log {from}.\nStart `headwater serve` \
                 again. Nodes keep what they run; on each, with its agent stopped:\n    headwater edge accept-log {log_id} \
                 --dir <the node's folder>\n"
            ))
        }?;
        Ok(())
    }
}
