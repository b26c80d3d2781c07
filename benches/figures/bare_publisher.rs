//! A pipelined publisher that does nothing else, beside which the relay is measured.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use async_nats::jetstream::stream::{Config, Stream};
use bus::connect::Link;
use bytes::Bytes;

use crate::Result;

/// Publishes that wait for their acknowledgement at once, as many as the relay has.
const IN_FLIGHT: usize = 1_000;

/// Publishes the same bytes under so many subjects in turn, into a stream with the settings of another one, until all are
/// acknowledged; and removes the stream again.
pub(crate) async fn publish(
    link: &Link,
    like: &Stream,
    payload: Bytes,
    (messages, subjects): (usize, usize),
) -> Result<Duration> {
    let jetstream = link.jetstream();
    let config = like.cached_info().config.clone();
    jetstream.create_stream(Config { name: "bare".to_owned(), subjects: vec!["bare.>".to_owned()], ..config }).await?;
    let since = Instant::now();
    let mut acks = VecDeque::new();
    for number in 0..messages {
        if acks.len() >= IN_FLIGHT
            && let Some(first) = acks.pop_front()
        {
            IntoFuture::into_future(first).await?;
        }
        acks.push_back(jetstream.publish(format!("bare.{}", number % subjects), payload.clone()).await?);
    }
    for ack in acks {
        ack.await?;
    }
    let taken = since.elapsed();
    jetstream.delete_stream("bare").await?;
    Ok(taken)
}
