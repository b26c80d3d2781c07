//! Watches the bucket of desired records, for the relay to notice writes that are not its own.

use std::time::Duration;

use async_nats::jetstream::Context;
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
    while !writes.is_closed() {
        if let Ok(store) = jetstream.get_key_value(prefix.bucket(Bucket::Desired)).await
            && let Ok(mut watch) = store.watch_with_history(">").await
        {
            while let Some(Ok(entry)) = watch.next().await {
                if writes.send(RecordWrite { key: entry.key, revision: entry.revision }).await.is_err() {
                    return;
                }
            }
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}
