//! The event stream: each event at sequence = position, so that the server itself refuses a gap, a repeat and a second
//! publisher.

use std::sync::Arc;

use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, State as StreamState};
use projections::configuration::Configuration;
use replay::stray::Stray;
use schema::address::Prefix;
use schema::event::Event;
use schema::id::LogId;
use schema::position::Position;
use schema::wire::Record as _;

use super::Error;
use super::rebuild::{CopyLimit, StreamRebuild};
use super::source::PublishSource;
use super::stream_comparison::{ExcessOrigin, StreamComparison, StreamExcess};
use super::streams;

/// Events that are on their way at once. Each names its predecessor, so one broken link refuses all that follow.
const IN_FLIGHT: usize = 1_000;
/// What is copied at most of what somebody else wrote: it may be anything, and as much as they like.
const COPIED: CopyLimit = CopyLimit { messages: 1_000, bytes: 16 * 1024 * 1024 };

/// The last event that is public, for whoever does not publish.
///
/// # Errors
/// If NATS does not answer.
pub async fn last_public(jetstream: &Context, prefix: &Prefix) -> Result<Position, Error> {
    let stream = streams::get(jetstream, &prefix.event_stream()).await?;
    Ok(stream.cached_info().state.last_sequence.into())
}

/// The events that are public, for whoever looks them up.
#[derive(Clone, Debug)]
pub struct PublishedEvents {
    jetstream: Context,
    prefix: Prefix,
}

impl PublishedEvents {
    /// The stream behind a connection.
    #[must_use]
    pub fn new(jetstream: Context, prefix: Prefix) -> Self {
        Self { jetstream, prefix }
    }

    /// The events at these positions; nothing where there is none.
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

/// The last sequence of the event stream, and the event there if it is one, for whoever compares it with the log; nothing if
/// nothing was ever published.
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

/// The event stream as its publisher knows it.
pub struct Events {
    jetstream: Context,
    prefix: Prefix,
    comparison: StreamComparison,
    rebuild: StreamRebuild,
    /// The last sequence that is known to be in the stream.
    last: Position,
}

impl Events {
    /// Knows nothing yet: [`Events::recover`] first.
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
        Self { jetstream, prefix, comparison, rebuild, last: Position::ZERO }
    }

    /// The last event that is public.
    #[must_use]
    pub fn last(&self) -> Position {
        self.last
    }

    /// Looks what is in the stream, beside a log with this state at its head. A stream with holes is made anew; the caller fills
    /// it. Gives what somebody else wrote behind the log's events, if anybody did: up to [`Events::last`] the stream is this log's.
    ///
    /// # Errors
    /// If NATS does not answer, the stream may be ahead of the log, or is another log's.
    pub async fn recover(&mut self, state: &Configuration) -> Result<Option<(StreamExcess, Stray)>, Error> {
        // A stream that was made anew may lack its consumers still.
        self.rebuild.finish().await?;
        let (name, head) = (self.prefix.event_stream(), state.position());
        let stream = streams::get(&self.jetstream, &name).await?;
        let StreamState { last_sequence, messages, .. } = stream.cached_info().state;
        let known = std::mem::replace(&mut self.last, last_sequence.into());
        if let Some(excess) = self.comparison.excess(self.last, head, known, state).await? {
            let ExcessOrigin::Stray(stray) = excess.origin.clone() else {
                return Err(excess.refused(format!("stream {name}"), head));
            };
            self.last = excess.agreed;
            return Ok(Some((excess, stray)));
        }
        if messages != last_sequence {
            tracing::warn!(stream = name, messages, last = last_sequence, "the stream has holes; filling it anew");
            self.rebuild.run(self.last).await?;
            self.last = Position::ZERO;
        }
        Ok(None)
    }

    /// Copies what somebody else wrote, as far as that is not too much, and makes the stream anew; the caller fills it. Gives how many
    /// messages were taken out.
    ///
    /// # Errors
    /// If NATS does not answer or refuses.
    pub async fn take_out(&mut self, excess: &StreamExcess, head: Position) -> Result<u64, Error> {
        let (count, copied) = self.rebuild.copy(&self.comparison, (excess.agreed, head), COPIED).await?;
        let to = self.prefix.stray_stream();
        tracing::warn!(count, copied, to, "what somebody else wrote is taken out: the event stream is made anew");
        self.rebuild.run(excess.agreed).await?;
        self.last = Position::ZERO;
        Ok(count)
    }

    /// Whether the stream still reaches as far as what somebody else wrote: they may have removed it themselves.
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
    /// If NATS does not take them all; how many it took is not known then.
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
                self.last = position;
            }
        }
        Ok(())
    }

    async fn send(&self, event: &Event) -> Result<async_nats::jetstream::context::PublishAckFuture, Error> {
        let subject = self.prefix.event_subject(event);
        let message =
            PublishMessage::build().payload(event.write().into()).expected_last_sequence(event.position.get() - 1);
        self.jetstream.send_publish(subject, message).await.map_err(|error| refused(&self.prefix, &error))
    }
}

fn refused(prefix: &Prefix, error: &async_nats::jetstream::context::PublishError) -> Error {
    match error.kind() {
        PublishErrorKind::WrongLastSequence => Error::Disturbed(prefix.event_stream()),
        _ => Error::nats("publishing events", error),
    }
}
