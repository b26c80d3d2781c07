//! The event stream: each event at sequence = position, so that the server itself refuses a gap, a repeat and a second
//! publisher.

use std::sync::Arc;

use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, State as StreamState};
use projections::configuration::Configuration;
use replay::stray::StrayError;
use schema::address::Prefix;
use schema::event::Event;
use schema::id::LogId;
use schema::position::Position;
use schema::wire::WireRecord as _;

use super::Error;
use super::rebuild::{CopyLimit, StreamRebuild};
use super::source::PublishSource;
use super::stream_comparison::{StreamComparison, StreamExcess};
use super::streams;

/// Events that are sent before the first is acknowledged. Each names the sequence before it, so NATS refuses all that follow a
/// refused one, except where a foreign message took the place of that one: the comparison finds it behind the events that got in.
const IN_FLIGHT: usize = 1_000;
/// How much of what somebody else wrote is copied aside: it may be anything, and as much as they like.
const STRAYS_COPIED: CopyLimit = CopyLimit { messages: 1_000, bytes: 16 * 1024 * 1024 };

/// The last event that is public, for a server that does not publish itself.
///
/// # Errors
/// If NATS does not answer.
pub async fn last_public(jetstream: &Context, prefix: &Prefix) -> Result<Position, Error> {
    let stream = streams::get(jetstream, &prefix.event_stream()).await?;
    Ok(stream.cached_info().state.last_sequence.into())
}

/// Reads single events that are public.
#[derive(Clone, Debug)]
pub struct PublishedEvents {
    jetstream: Context,
    prefix: Prefix,
}

impl PublishedEvents {
    /// Reads nothing yet.
    #[must_use]
    pub fn new(jetstream: Context, prefix: Prefix) -> Self {
        Self { jetstream, prefix }
    }

    /// The events at these positions; `None` where the stream has none. Empty if there is no stream.
    ///
    /// # Errors
    /// If NATS does not answer.
    pub async fn at(&self, positions: impl IntoIterator<Item = Position>) -> Result<Vec<Option<Event>>, Error> {
        let Some(stream) = streams::find(&self.jetstream, &self.prefix.event_stream()).await? else {
            return Ok(Vec::new());
        };
        let mut events = Vec::new();
        for position in positions {
            events.push(match stream.get_raw_message(position.get()).await {
                Ok(message) => Event::read(&message.payload).ok().filter(|event| event.position == position),
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => None,
                Err(error) => return Err(Error::nats("reading what was published", error)),
            });
        }
        Ok(events)
    }
}

/// The last sequence of the event stream, and the event there if the message is one; nothing if nothing was ever published.
///
/// # Errors
/// If NATS does not answer.
pub async fn end(jetstream: &Context, prefix: &Prefix) -> Result<Option<(Position, Option<Event>)>, Error> {
    let name = prefix.event_stream();
    let Some(stream) = streams::find(jetstream, &name).await? else { return Ok(None) };
    let last = Position::from(stream.cached_info().state.last_sequence);
    if last == Position::ZERO {
        return Ok(None);
    }
    match stream.get_raw_message(last.get()).await {
        Ok(message) => Ok(Some((last, Event::read(&message.payload).ok()))),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(Some((last, None))),
        Err(error) => Err(Error::nats(format!("stream {name}"), error)),
    }
}

/// Writes the event stream, and knows how far it is this log's.
pub struct EventStreamWriter {
    jetstream: Context,
    prefix: Prefix,
    comparison: StreamComparison,
    rebuild: StreamRebuild,
    /// The last sequence of the stream that is this log's.
    last: Position,
    /// Up to here the stream is known to agree with the log. A comparison that fails leaves it: the next one begins there again.
    agreed: Position,
}

impl EventStreamWriter {
    /// Nothing is read yet: [`EventStreamWriter::recover`] comes first.
    #[must_use]
    pub fn new(
        jetstream: Context,
        prefix: Prefix,
        replicas: usize,
        log_id: LogId,
        source: Arc<dyn PublishSource>,
    ) -> Self {
        let comparison = StreamComparison::new(jetstream.clone(), prefix.clone(), log_id, source);
        let rebuild = StreamRebuild::new(jetstream.clone(), prefix.clone(), replicas);
        Self { jetstream, prefix, comparison, rebuild, last: Position::ZERO, agreed: Position::ZERO }
    }

    /// The last event that is public.
    #[must_use]
    pub fn last(&self) -> Position {
        self.last
    }

    /// Compares the stream with a log that has this state at its head. A stream with holes is rebuilt, and the caller fills it. Gives
    /// the foreign messages behind the log's events, if there are any; up to [`EventStreamWriter::last`] the stream is this log's.
    ///
    /// # Errors
    /// If NATS does not answer, or the stream may be ahead of the log or is another log's.
    pub async fn recover(&mut self, state: &Configuration) -> Result<Option<(StreamExcess, StrayError)>, Error> {
        // A stream that was rebuilt may lack its consumers still.
        self.rebuild.finish().await?;
        let (name, head) = (self.prefix.event_stream(), state.position());
        let stream = streams::get(&self.jetstream, &name).await?;
        let StreamState { last_sequence, messages, .. } = stream.cached_info().state;
        self.last = last_sequence.into();
        if let Some((excess, stray)) = self.comparison.strays(self.last, head, self.agreed, state).await? {
            (self.last, self.agreed) = (excess.agreed, excess.agreed);
            return Ok(Some((excess, stray)));
        }
        self.agreed = self.last;
        if messages != last_sequence {
            tracing::warn!(stream = name, messages, last = last_sequence, "event stream has holes; it is rebuilt");
            self.rebuild.run(self.last).await?;
            (self.last, self.agreed) = (Position::ZERO, Position::ZERO);
        }
        Ok(None)
    }

    /// Copies foreign messages aside, up to a limit, and rebuilds the stream; the caller fills it. Gives how many messages were removed.
    ///
    /// # Errors
    /// If NATS does not answer or refuses.
    pub async fn remove_strays(&mut self, excess: &StreamExcess, head: Position) -> Result<u64, Error> {
        let (count, copied) = self.rebuild.copy(&self.comparison, (excess.agreed, head), STRAYS_COPIED).await?;
        let to = self.prefix.stray_stream();
        tracing::warn!(count, copied, to, "foreign messages removed: the event stream is rebuilt");
        self.rebuild.run(excess.agreed).await?;
        (self.last, self.agreed) = (Position::ZERO, Position::ZERO);
        Ok(count)
    }

    /// Whether the foreign messages are still there: whoever wrote them may have removed them.
    ///
    /// # Errors
    /// If NATS does not answer.
    pub async fn still_has(&self, excess: &StreamExcess) -> Result<bool, Error> {
        let stream = streams::get(&self.jetstream, &self.prefix.event_stream()).await?;
        Ok(stream.cached_info().state.last_sequence >= excess.last.get())
    }

    /// Whether the stream still ends where this publisher left it.
    ///
    /// # Errors
    /// If NATS does not answer.
    pub async fn is_undisturbed(&self) -> Result<bool, Error> {
        let stream = streams::get(&self.jetstream, &self.prefix.event_stream()).await?;
        let state = &stream.cached_info().state;
        Ok(state.last_sequence == self.last.get() && state.messages == state.last_sequence)
    }

    /// Publishes the next events of the log.
    ///
    /// # Errors
    /// If NATS does not take them all; how many it took is unknown then.
    pub async fn append(&mut self, events: &[Event]) -> Result<(), Error> {
        for chunk in events.chunks(IN_FLIGHT) {
            let mut acks = Vec::with_capacity(chunk.len());
            for event in chunk {
                acks.push((event.position, self.send(event).await?));
            }
            for (position, ack) in acks {
                let ack = ack.await.map_err(|error| refused(&self.prefix, &error))?;
                if ack.sequence != position.get() {
                    return Err(Error::Disturbed(self.prefix.event_stream()));
                }
                (self.last, self.agreed) = (position, position);
            }
        }
        Ok(())
    }

    async fn send(&self, event: &Event) -> Result<async_nats::jetstream::context::PublishAckFuture, Error> {
        let subject = self.prefix.event_subject(event);
        let message = PublishMessage::build()
            .payload(event.write().into())
            .expected_last_sequence(event.position.previous().get());
        self.jetstream.send_publish(subject, message).await.map_err(|error| refused(&self.prefix, &error))
    }
}

fn refused(prefix: &Prefix, error: &async_nats::jetstream::context::PublishError) -> Error {
    match error.kind() {
        PublishErrorKind::WrongLastSequence => Error::Disturbed(prefix.event_stream()),
        _ => Error::nats("publishing events", error),
    }
}
