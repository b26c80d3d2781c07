//! The event stream: each event at sequence = position, so that the server itself refuses a gap, a repeat and a second
//! publisher.

use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use schema::address::Prefix;
use schema::event::Event;
use schema::id::LogId;
use schema::position::Position;
use schema::wire::Record as _;

use super::Error;
use super::streams;

/// Events that are on their way at once. Each names its predecessor, so one broken link refuses all that follow.
const IN_FLIGHT: usize = 1_000;

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
pub struct Published {
    jetstream: Context,
    prefix: Prefix,
}

impl Published {
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
#[derive(Debug)]
pub struct Events {
    jetstream: Context,
    prefix: Prefix,
    replicas: usize,
    log_id: LogId,
    /// The last sequence that is known to be in the stream.
    last: Position,
}

impl Events {
    /// Knows nothing yet: [`Events::recover`] first.
    #[must_use]
    pub fn new(jetstream: Context, prefix: Prefix, replicas: usize, log_id: LogId) -> Self {
        Self { jetstream, prefix, replicas, log_id, last: Position::ZERO }
    }

    /// The last event that is public.
    #[must_use]
    pub fn last(&self) -> Position {
        self.last
    }

    /// Looks what is in the stream. A stream with holes, or one that ends with what is no event, is made anew; the caller
    /// fills it. Gives the last event in it, for a comparison with the log.
    ///
    /// # Errors
    /// If NATS does not answer, the stream is ahead of the log, or it is another log's.
    pub async fn recover(&mut self, head: Position) -> Result<Option<Event>, Error> {
        let name = self.prefix.event_stream();
        let failed = |error: &dyn std::fmt::Display| Error::nats(format!("stream {name}"), error);
        let mut stream = streams::get(&self.jetstream, &name).await?;
        let state = stream.info().await.map_err(|error| failed(&error))?.state.clone();
        let last = Position::from(state.last_sequence);
        self.last = last;
        if last == Position::ZERO {
            return Ok(None);
        }
        let message = match stream.get_raw_message(last.get()).await {
            Ok(message) => Some(message),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => None,
            Err(error) => return Err(failed(&error)),
        };
        let event = message.as_ref().and_then(|message| Event::read(&message.payload).ok());
        let ahead = |found| Error::Forked { what: format!("stream {name}"), found, head };
        match &event {
            Some(event) if event.position > head => return Err(ahead(event.position)),
            Some(event) if event.log_id != self.log_id => {
                return Err(Error::Differs { what: format!("stream {name}"), position: last });
            }
            // Whatever stands at the end, before it may stand what the log lost: that is not for us to wipe away.
            _ if last > head && (message.is_none() || self.may_have_held(&stream, head.next()).await?) => {
                return Err(ahead(last));
            }
            _ => {}
        }
        // Nobody who publishes events puts one elsewhere than at its position, nor anything that is none.
        let event = event.filter(|event| event.position == last);
        if event.is_none() || state.messages != state.last_sequence {
            let messages = state.messages;
            tracing::warn!(stream = name, messages, %last, "the stream has holes, or somebody else's end; filling it anew");
            streams::remake_events(&self.jetstream, &self.prefix, self.replicas).await?;
            self.last = Position::ZERO;
            return Ok(None);
        }
        Ok(event)
    }

    /// Whether an event of this log stands at its position in the stream, or stood there until it was deleted.
    async fn may_have_held(&self, stream: &Stream, position: Position) -> Result<bool, Error> {
        match stream.get_raw_message(position.get()).await {
            Ok(message) => Ok(Event::read(&message.payload)
                .is_ok_and(|event| event.position == position && event.log_id == self.log_id)),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(true),
            Err(error) => Err(Error::nats("reading what may be ahead of the log", error)),
        }
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
