//! What the event stream holds beyond what it has in common with the log.
//!
//! JetStream replaces no message and gives no sequence twice, so stream and log agree up to some position. What stands behind
//! it is this log's own if its table was put back to an earlier state, or somebody else wrote it. The first message behind it
//! tells: where that can't be this log's next event, this log never published anything in that place. A message may take the place of
//! one event among many that are on their way, and the others arrive where they belong: so where an end agrees, what was on its
//! way before it is looked at one by one.

use std::sync::Arc;

use async_nats::jetstream::Context;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use futures::StreamExt as _;
use projections::configuration::Configuration;
use replay::fault::Fault;
use replay::log::Follower;
use replay::stray::{Stray, next_event};
use schema::address::Prefix;
use schema::digest::Digest;
use schema::event::Event;
use schema::id::LogId;
use schema::position::Position;
use schema::wire::Record as _;

use super::source::PublishSource;
use super::{Error, streams};

/// How far before an end somebody else's message may hide: more than are ever on their way at once.
const HIDDEN_WITHIN: u64 = 2_000;
/// Messages that are asked for at once.
const READ_AT_ONCE: usize = 64;
/// Events that are read together while the log is folded to where the two part.
const FOLD_EVENTS: usize = 1_000;

/// What stands in the stream behind the last event that it shares with the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamExcess {
    /// The last position at which stream and log agree.
    pub agreed: Position,
    /// The last sequence of the stream.
    pub last: Position,
    /// Whose it is.
    pub origin: ExcessOrigin,
}

/// Whose the messages are that the log does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExcessOrigin {
    /// The first of them follows from the log, or was deleted: the log may have lost it.
    Possible,
    /// The stream begins with another log's event: all of it is that log's.
    OtherLog(LogId),
    /// Somebody else's, and why it can't be this log's.
    Stray(Stray),
}

impl StreamExcess {
    /// What is said of it where it may be this log's or is another log's, so that nothing may be done over it.
    pub(crate) fn refused(&self, stream: String, head: Position) -> Error {
        match self.origin {
            ExcessOrigin::Possible if self.agreed >= head => Error::Forked { what: stream, found: self.last, head },
            _ => Error::Differs { what: stream, position: self.agreed.next() },
        }
    }
}

/// The event stream beside the log.
pub struct StreamComparison {
    jetstream: Context,
    prefix: Prefix,
    source: Arc<dyn PublishSource>,
    log_id: LogId,
    /// What was found of the message with this digest behind a position: a message never changes.
    judged: Option<(Position, Digest, ExcessOrigin)>,
}

impl StreamComparison {
    /// Of a log whose events a source has.
    #[must_use]
    pub fn new(jetstream: Context, prefix: Prefix, log_id: LogId, source: Arc<dyn PublishSource>) -> Self {
        Self { jetstream, prefix, source, log_id, judged: None }
    }

    /// The last sequence of the stream; 0 if it is empty or not there. To be asked before the log's head is, because what is public
    /// then is in the log by the time that its head is read.
    ///
    /// # Errors
    /// If NATS does not answer.
    pub async fn last(&self) -> Result<Position, Error> {
        let stream = streams::find(&self.jetstream, &self.prefix.event_stream()).await?;
        Ok(stream.map_or(Position::ZERO, |stream| stream.cached_info().state.last_sequence.into()))
    }

    /// What the stream up to `last` holds that the log up to `head` does not have there. Up to `known` the two were seen to agree. A
    /// state of the log at the place where they part, mostly its head, saves folding it.
    ///
    /// # Errors
    /// If NATS or the log does not answer.
    pub async fn excess(
        &mut self,
        last: Position,
        head: Position,
        known: Position,
        state: &Configuration,
    ) -> Result<Option<StreamExcess>, Error> {
        let Some(stream) = streams::find(&self.jetstream, &self.prefix.event_stream()).await? else { return Ok(None) };
        let end = self.last_agreed(&stream, last.min(head)).await?;
        let agreed = self.agreed(&stream, known, end).await?;
        if agreed == last {
            return Ok(None);
        }
        let origin = match message(&stream, agreed.next()).await? {
            Some(message) => self.origin(&message, agreed, state).await?,
            // The stream may have been made anew meanwhile.
            None if self.last().await? < last => return Ok(None),
            None => ExcessOrigin::Possible,
        };
        Ok(Some(StreamExcess { agreed, last, origin }))
    }

    /// The position up to `end` before the first at which the two do not agree.
    async fn agreed(&self, stream: &Stream, known: Position, end: Position) -> Result<Position, Error> {
        let mut agreed = known.min(end).max(end.get().saturating_sub(HIDDEN_WITHIN).into());
        while agreed < end {
            let events = self.source.events(agreed, FOLD_EVENTS).await.map_err(Error::Source)?;
            let events = events.into_iter().take_while(|event| event.position <= end);
            let read = |ours: Event| async move { Ok::<_, Error>((message(stream, ours.position).await?, ours)) };
            let mut pairs = futures::stream::iter(events).map(read).buffered(READ_AT_ONCE);
            let before = agreed;
            while let Some(pair) = pairs.next().await {
                let (message, ours) = pair?;
                if message.is_some_and(|message| Event::read(&message.payload).ok().as_ref() != Some(&ours)) {
                    return Ok(agreed);
                }
                agreed = ours.position;
            }
            if agreed == before {
                return Err(Error::Source(format!("the table has no event {}", before.next()).into()));
            }
        }
        Ok(agreed)
    }

    /// The last position up to `end` at which the two agree.
    async fn last_agreed(&self, stream: &Stream, end: Position) -> Result<Position, Error> {
        if self.agrees(stream, end).await? {
            return Ok(end);
        }
        let (mut low, mut high) = (0, end.get());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match self.agrees(stream, middle.into()).await? {
                true => low = middle,
                false => high = middle,
            }
        }
        Ok(low.into())
    }

    /// Whether the stream has the log's event at a position, or none: a hole is filled from the log.
    pub(crate) async fn agrees(&self, stream: &Stream, position: Position) -> Result<bool, Error> {
        let Some(before) = position.get().checked_sub(1) else { return Ok(true) };
        let Some(message) = message(stream, position).await? else { return Ok(true) };
        let ours = self.source.events(before.into(), 1).await.map_err(Error::Source)?;
        Ok(Event::read(&message.payload).is_ok_and(|event| ours.first() == Some(&event)))
    }

    async fn origin(
        &mut self,
        message: &StreamMessage,
        agreed: Position,
        state: &Configuration,
    ) -> Result<ExcessOrigin, Error> {
        let digest = Digest::of(&message.payload);
        if let Some((position, judged, origin)) = &self.judged
            && (*position, *judged) == (agreed, digest)
        {
            return Ok(origin.clone());
        }
        let log = match state.position() == agreed {
            true => Follower::after_request(self.log_id, state.clone()),
            false => self.followed(agreed).await?,
        };
        let origin = match next_event(&log, &message.payload).map_err(|stray| *stray) {
            Ok(_) => ExcessOrigin::Possible,
            Err(Stray::Impossible(Fault::OtherLog { found, .. })) if agreed == Position::ZERO => {
                ExcessOrigin::OtherLog(found)
            }
            Err(stray) => ExcessOrigin::Stray(stray),
        };
        self.judged = Some((agreed, digest, origin.clone()));
        Ok(origin)
    }

    /// The log up to a position.
    async fn followed(&self, end: Position) -> Result<Follower, Error> {
        let mut log = Follower::new(self.log_id);
        while log.position() < end {
            let before = log.position();
            let events = self.source.events(before, FOLD_EVENTS).await.map_err(Error::Source)?;
            for event in events.iter().take_while(|event| event.position <= end) {
                log.advance(event).map_err(|divergence| Error::Source(divergence.into()))?;
            }
            if log.position() == before {
                return Err(Error::Source(format!("the table has no event {}", before.next()).into()));
            }
        }
        Ok(log)
    }
}

/// The message at a sequence, if it is there.
pub(crate) async fn message(stream: &Stream, sequence: Position) -> Result<Option<StreamMessage>, Error> {
    match stream.get_raw_message(sequence.get()).await {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(Error::nats("reading what was published", error)),
    }
}
