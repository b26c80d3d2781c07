//! Making the event stream anew, because JetStream gives no sequence twice: what somebody else put there is copied to the stream
//! of strays first, and durable consumers, which would go with the stream, are made again where they were.

use async_nats::header::HeaderMap;
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{Config as Consumer, DeliverPolicy};
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use futures::TryStreamExt as _;
use schema::address::{Prefix, STRAY_BYTES, STRAY_SUBJECT, STRAY_TIME};
use schema::instant::Instant;
use schema::position::Position;

use super::stream_comparison::{StreamComparison, message};
use super::{Error, streams};

/// Bytes of a message that are copied; no event has as many. What is larger would not fit with what is said of it.
const MESSAGE_BYTES_MAX: usize = 512 * 1024;

/// How much of what is taken out is copied before.
#[derive(Clone, Copy, Debug)]
pub struct CopyLimit {
    /// Messages at most.
    pub messages: u64,
    /// Bytes at most.
    pub bytes: usize,
}

/// The event stream that is made anew.
#[derive(Debug)]
pub struct StreamRebuild {
    jetstream: Context,
    prefix: Prefix,
    replicas: usize,
    /// Consumers that went with the stream and are not there again.
    consumers: Vec<Consumer>,
}

impl StreamRebuild {
    /// Does nothing yet.
    #[must_use]
    pub fn new(jetstream: Context, prefix: Prefix, replicas: usize) -> Self {
        Self { jetstream, prefix, replicas, consumers: Vec::new() }
    }

    /// Copies what stands behind `agreed` and is no event of a log that ends at `head` to the stream of strays, from its first
    /// message on. Gives how many messages stand there, as far as that was counted, and how many were copied.
    ///
    /// # Errors
    /// If NATS does not answer, or does not take them.
    pub async fn copy(
        &self,
        comparison: &StreamComparison,
        (agreed, head): (Position, Position),
        most: CopyLimit,
    ) -> Result<(u64, u64), Error> {
        streams::ensure_strays(&self.jetstream, &self.prefix, self.replicas).await?;
        let stream = streams::get(&self.jetstream, &self.prefix.event_stream()).await?;
        let failed = |error| Error::nats(format!("copying to stream {}", self.prefix.stray_stream()), error);
        let last = Position::from(stream.cached_info().state.last_sequence);
        let mut there = last.get().saturating_sub(agreed.get());
        let (mut messages, mut bytes, mut sequence) = (0, 0, agreed.next());
        while sequence <= last && messages < most.messages && bytes < most.bytes {
            if sequence <= head && comparison.agrees(&stream, sequence).await? {
                there -= 1;
            } else if let Some(stray) = message(&stream, sequence).await? {
                let mut headers = HeaderMap::new();
                headers.insert(STRAY_SUBJECT, stray.subject.as_str());
                headers.insert(STRAY_BYTES, stray.payload.len().to_string());
                headers.insert(STRAY_TIME, taken_in(&stray).to_string());
                let payload = stray.payload.slice(..stray.payload.len().min(MESSAGE_BYTES_MAX));
                bytes += payload.len();
                let copy = PublishMessage::build().headers(headers).payload(payload);
                let sent = self.jetstream.send_publish(self.prefix.stray_subject(sequence), copy);
                sent.await.map_err(failed)?.await.map_err(failed)?;
                messages += 1;
            }
            sequence = sequence.next();
        }
        Ok((there, messages))
    }

    /// Makes the stream anew and empty, for events to be put in from the first one on. Up to `agreed` it held the log's.
    ///
    /// # Errors
    /// If NATS does not answer or refuses. [`StreamRebuild::finish`] is to be called then until it succeeds.
    pub async fn run(&mut self, agreed: Position) -> Result<(), Error> {
        let name = self.prefix.event_stream();
        let stream = streams::get(&self.jetstream, &name).await?;
        let mut replicas = stream.cached_info().config.num_replicas;
        if replicas == 0 {
            replicas = self.replicas;
        }
        let mut consumers = stream.consumers();
        while let Some(info) = consumers.try_next().await.map_err(|error| Error::nats("listing consumers", error))? {
            if info.config.durable_name.is_some() {
                let start_sequence = info.ack_floor.stream_sequence.min(agreed.get()) + 1;
                let deliver_policy = DeliverPolicy::ByStartSequence { start_sequence };
                self.consumers.push(Consumer { deliver_policy, ..info.config });
            }
        }
        self.jetstream.delete_stream(&name).await.map_err(|error| Error::nats(format!("stream {name}"), error))?;
        streams::ensure_events(&self.jetstream, &self.prefix, replicas).await?;
        self.finish().await
    }

    /// Makes the consumers again that went with the stream.
    ///
    /// # Errors
    /// If NATS does not answer or refuses.
    pub async fn finish(&mut self) -> Result<(), Error> {
        while let Some(consumer) = self.consumers.last() {
            let durable = consumer.durable_name.clone().unwrap_or_default();
            let stream = streams::get(&self.jetstream, &self.prefix.event_stream()).await?;
            let made = stream.create_consumer(consumer.clone()).await;
            made.map_err(|error| Error::nats(format!("durable consumer {durable} of the event stream"), error))?;
            tracing::info!(durable, from = ?consumer.deliver_policy, "a durable consumer was made again");
            self.consumers.pop();
        }
        Ok(())
    }
}

/// When NATS took a message in.
fn taken_in(message: &StreamMessage) -> Instant {
    let micros = message.time.unix_timestamp_nanos() / 1_000;
    Instant::from_unix_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}
