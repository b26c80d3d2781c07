//! The last message of each subject of a stream, read with one consumer that is deleted afterwards.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::stream::Stream;
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::time::timeout;

use super::Error;

/// Messages that one request to the consumer asks for.
const PAGE_MESSAGES: usize = 500;
/// How long NATS may take for a page, and for its next message.
const PAGE_WITHIN: Duration = Duration::from_secs(10);
/// NATS deletes a consumer that a broken connection left behind after this time.
const CONSUMER_IDLE: Duration = Duration::from_secs(30);

/// The last message of a subject.
pub(crate) struct LatestMessage {
    pub(crate) subject: String,
    pub(crate) sequence: u64,
    pub(crate) payload: Bytes,
    /// The message marks its key as deleted.
    pub(crate) deleted: bool,
}

/// The last message of every subject that matches `filter`.
pub(crate) async fn of(stream: &Stream, filter: &str) -> Result<Vec<LatestMessage>, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::nats(format!("reading {filter}"), error);
    let config = pull::Config {
        filter_subject: filter.to_owned(),
        deliver_policy: DeliverPolicy::LastPerSubject,
        ack_policy: AckPolicy::None,
        inactive_threshold: CONSUMER_IDLE,
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await.map_err(|error| failed(&error))?;
    let mut left = consumer.cached_info().num_pending;
    let mut found = Vec::new();
    // The next page is asked for while half of the one before it is still to come.
    let pages = consumer.stream().max_messages_per_batch(PAGE_MESSAGES).expires(PAGE_WITHIN).messages().await;
    let mut pages = pages.map_err(|error| failed(&error))?;
    while left > 0 {
        let next = timeout(PAGE_WITHIN, pages.next()).await.map_err(|_| failed(&"NATS sent no more of it"))?;
        let message = next.ok_or_else(|| failed(&"it ended early"))?.map_err(|error| failed(&error))?;
        let info = message.info().map_err(|error| failed(&error))?;
        left = info.pending;
        // What was on its way when a connection broke is not sent again.
        if info.consumer_sequence != found.len() as u64 + 1 {
            return Err(failed(&"messages were lost on the way"));
        }
        let sequence = info.stream_sequence;
        let deleted = message.headers.as_ref().is_some_and(|headers| headers.get("KV-Operation").is_some());
        let (subject, payload) = (message.subject.to_string(), message.payload.clone());
        found.push(LatestMessage { subject, sequence, payload, deleted });
    }
    // It asks for no page of a consumer that is gone.
    drop(pages);
    // If this fails, NATS deletes the consumer when it has been idle.
    let _ = stream.delete_consumer(&consumer.cached_info().name).await;
    Ok(found)
}
