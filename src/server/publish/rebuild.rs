//! Rebuilding the event stream, because JetStream gives no sequence twice: foreign messages are copied to the stream of strays, the
//! stream is deleted and made again, and its durable consumers, which go with it, are made again where they were.

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

/// Bytes of a message that are copied. No event has as many, and with more the headers of the copy might not fit.
const MESSAGE_BYTES_MAX: usize = 512 * 1024;

/// How many foreign messages are copied before they are removed with the stream.
#[derive(Clone, Copy, Debug)]
pub struct CopyLimit {
    /// The largest number of messages.
    pub messages: u64,
    /// The largest sum of their bytes, give or take one message.
    pub bytes: usize,
}

/// Rebuilds the event stream of one prefix.
#[derive(Debug)]
pub struct StreamRebuild {
    jetstream: Context,
    prefix: Prefix,
    replicas: usize,
    /// Consumers that were deleted with the stream and are not made again yet.
    consumers: Vec<Consumer>,
}

impl StreamRebuild {
    /// Rebuilds nothing yet.
    #[must_use]
    pub fn new(jetstream: Context, prefix: Prefix, replicas: usize) -> Self {
        Self { jetstream, prefix, replicas, consumers: Vec::new() }
    }

    /// Copies the messages behind `agreed` that are no event of a log that ends at `head` to the stream of strays, in their order.
    /// Gives how many there are, as far as that was counted, and how many were copied.
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

    /// Deletes the stream and makes it again, empty; the caller fills it. Up to `agreed` it held the log's events.
    ///
    /// # Errors
    /// If NATS does not answer or refuses. Then [`StreamRebuild::finish`] has to be called until it succeeds.
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

    /// Makes the consumers again that were deleted with the stream.
    ///
    /// # Errors
    /// If NATS does not answer or refuses.
    pub async fn finish(&mut self) -> Result<(), Error> {
        while let Some(consumer) = self.consumers.last() {
            let durable = consumer.durable_name.clone().unwrap_or_default();
            let stream = streams::get(&self.jetstream, &self.prefix.event_stream()).await?;
            let made = stream.create_consumer(consumer.clone()).await;
            made.map_err(|error| Error::nats(format!("durable consumer {durable} of the event stream"), error))?;
            tracing::info!(durable, from = ?consumer.deliver_policy, "durable consumer made again");
            self.consumers.pop();
        }
        Ok(())
    }
}

/// When NATS received a message.
fn taken_in(message: &StreamMessage) -> Instant {
    let micros = message.time.unix_timestamp_nanos() / 1_000;
    Instant::from_unix_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}
