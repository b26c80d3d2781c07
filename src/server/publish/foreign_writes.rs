//! Watches the bucket of desired records, for the relay to notice writes that are not its own.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::push::{Ordered, OrderedConfig};
use futures::StreamExt as _;
use schema::address::{Bucket, Prefix};
use tokio::sync::mpsc;

/// The pause before a watch that ended is opened again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A write to the bucket, by the relay or by somebody else.
#[derive(Clone, Debug)]
pub struct RecordWrite {
    /// The node's id.
    pub key: String,
    /// The key's revision after the write.
    pub revision: u64,
}

/// Sends every write, until the receiver is dropped. Each watch begins with the records that are there, so that a write before it or
/// during a pause is sent as well.
pub async fn watch(jetstream: Context, prefix: Prefix, writes: mpsc::Sender<RecordWrite>) {
    let bucket = prefix.bucket_subject(Bucket::Desired, "");
    while !writes.is_closed() {
        if let Some(mut messages) = open(&jetstream, &prefix).await {
            while let Some(Ok(message)) = messages.next().await {
                let (Ok(info), Some(key)) = (message.info(), message.subject.strip_prefix(&bucket)) else { continue };
                let write = RecordWrite { key: key.to_owned(), revision: info.stream_sequence };
                if writes.send(write).await.is_err() {
                    return;
                }
            }
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

/// Every write without its record: the acknowledgements of a change for a large fleet come over the same connection, and would wait behind
/// all of its records.
async fn open(jetstream: &Context, prefix: &Prefix) -> Option<Ordered> {
    let config = OrderedConfig {
        deliver_subject: jetstream.client().new_inbox(),
        description: Some("writes to the records".to_owned()),
        filter_subject: prefix.bucket_subjects(Bucket::Desired),
        deliver_policy: DeliverPolicy::LastPerSubject,
        headers_only: true,
        ..OrderedConfig::default()
    };
    let stream = jetstream.get_stream(prefix.bucket_stream(Bucket::Desired)).await.ok()?;
    stream.create_consumer(config).await.ok()?.messages().await.ok()
}
