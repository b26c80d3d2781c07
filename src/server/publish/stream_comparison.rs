//! Compares the event stream with the log: whether the last public event is the log's.
//!
//! JetStream replaces no message and gives no sequence twice, so stream and log agree up to some position. The messages behind that
//! position are this log's own if its table was restored from a backup; else somebody else wrote them. The first of them tells: if it
//! can't be this log's next event, this log never published anything in that place. A foreign message may take the place of one event
//! among many in flight, and the others arrive where they belong: so also where the ends agree, the last events are compared one by one.

use std::sync::Arc;

use async_nats::jetstream::Context;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use futures::StreamExt as _;
use projections::configuration::Configuration;
use replay::event_error::EventError;
use replay::log::Follower;
use replay::stray::{StrayError, next_event};
use schema::address::Prefix;
use schema::digest::Digest;
use schema::event::Event;
use schema::id::LogId;
use schema::position::Position;
use schema::wire::WireRecord as _;

use super::source::PublishSource;
use super::{Error, streams};

/// How far before an end a foreign message may hide: more than are ever in flight at once.
const HIDDEN_WITHIN: u64 = 2_000;
/// Messages that are asked for at once.
const READ_AT_ONCE: usize = 64;
/// Events that are read together while they are compared with messages; at their largest, 32 MiB.
const COMPARE_EVENTS: usize = 128;
/// Events that are read together while the log is folded.
const FOLD_EVENTS: usize = 1_000;

/// The messages of the stream behind the last event that it has in common with the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamExcess {
    /// The last position at which stream and log agree.
    pub agreed: Position,
    /// The last sequence of the stream.
    pub last: Position,
    /// Who wrote them.
    pub origin: ExcessOrigin,
}

/// Who wrote the messages that the log does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExcessOrigin {
    /// Possibly this log: the first of them follows from it, or was deleted. The log may have lost them.
    Possible,
    /// Another log, with whose event the stream begins.
    OtherLog(LogId),
    /// Somebody else, and why they can't be this log's.
    Stray(StrayError),
}

impl StreamExcess {
    /// The refusal where the messages may be this log's or are another log's, so that nothing may be published over them.
    fn refusal(&self, stream: String, head: Position) -> Error {
        match self.origin {
            ExcessOrigin::Possible if self.agreed >= head => Error::Forked { what: stream, found: self.last, head },
            _ => Error::Differs { what: stream, position: self.agreed.next() },
        }
    }
}

/// The event stream and the log that it is compared with.
pub struct StreamComparison {
    jetstream: Context,
    prefix: Prefix,
    source: Arc<dyn PublishSource>,
    log_id: LogId,
    /// The last judgement: who wrote the message with this digest behind a position. A message never changes.
    judged: Option<(Position, Digest, ExcessOrigin)>,
}

impl StreamComparison {
    /// For the log whose events a source has.
    #[must_use]
    pub fn new(jetstream: Context, prefix: Prefix, log_id: LogId, source: Arc<dyn PublishSource>) -> Self {
        Self { jetstream, prefix, source, log_id, judged: None }
    }

    /// The last sequence of the stream; 0 if it is empty or not there. To be read before the log's head, because what is public then
    /// is in the log by the time that its head is read.
    ///
    /// # Errors
    /// If NATS does not answer.
    pub async fn last(&self) -> Result<Position, Error> {
        let stream = streams::find(&self.jetstream, &self.prefix.event_stream()).await?;
        Ok(stream.map_or(Position::ZERO, |stream| stream.cached_info().state.last_sequence.into()))
    }

    /// Whether the last public event is the log's: nothing if it is, else the foreign messages behind the log's events. See
    /// [`StreamComparison::excess`] for the arguments.
    ///
    /// # Errors
    /// If NATS or the log does not answer; [`Error::Forked`] or [`Error::Differs`] if the messages may be the log's, which then has lost
    /// them, or are another log's.
    pub async fn strays(
        &mut self,
        last: Position,
        head: Position,
        known: Position,
        state: &Configuration,
    ) -> Result<Option<(StreamExcess, StrayError)>, Error> {
        let Some(excess) = self.excess(last, head, known, state).await? else { return Ok(None) };
        match excess.origin.clone() {
            ExcessOrigin::Stray(stray) => Ok(Some((excess, stray))),
            _ => Err(excess.refusal(format!("stream {}", self.prefix.event_stream()), head)),
        }
    }

    /// The messages of the stream up to `last` that the log up to `head` does not have there. Up to `known` the two are known to agree.
    /// `state` is the log's at the position where they part, which is mostly its head: it saves folding the log.
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
            // The stream may have been rebuilt meanwhile.
            None if self.last().await? < last => return Ok(None),
            None => ExcessOrigin::Possible,
        };
        Ok(Some(StreamExcess { agreed, last, origin }))
    }

    /// The last position up to `end` before the first at which the two differ.
    async fn agreed(&self, stream: &Stream, known: Position, end: Position) -> Result<Position, Error> {
        let mut agreed = known.min(end).max(end.get().saturating_sub(HIDDEN_WITHIN).into());
        while agreed < end {
            let events = self.source.events(agreed, COMPARE_EVENTS).await.map_err(Error::Source)?;
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

    /// The last position up to `end` at which the two agree, found by bisection.
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

    /// Whether the stream has the log's event at a position, or none: holes are filled from the log.
    pub(crate) async fn agrees(&self, stream: &Stream, position: Position) -> Result<bool, Error> {
        if position == Position::ZERO {
            return Ok(true);
        }
        let Some(message) = message(stream, position).await? else { return Ok(true) };
        let ours = self.source.events(position.previous(), 1).await.map_err(Error::Source)?;
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
            false => self.fold_to(agreed).await?,
        };
        let origin = match next_event(&log, &message.payload).map_err(|stray| *stray) {
            Ok(_) => ExcessOrigin::Possible,
            Err(StrayError::Impossible(EventError::OtherLog { found, .. })) if agreed == Position::ZERO => {
                ExcessOrigin::OtherLog(found)
            }
            Err(stray) => ExcessOrigin::Stray(stray),
        };
        self.judged = Some((agreed, digest, origin.clone()));
        Ok(origin)
    }

    async fn fold_to(&self, end: Position) -> Result<Follower, Error> {
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
