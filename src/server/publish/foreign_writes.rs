//! Watching the bucket of desired records for writes that are not ours.

use std::time::Duration;

use async_nats::jetstream::Context;
use futures::StreamExt as _;
use schema::address::{Bucket, Prefix};
use tokio::sync::mpsc;

/// The pause before a watch that ended is begun again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A write to the bucket, whoever made it.
#[derive(Clone, Debug)]
pub struct RecordWrite {
    /// The key.
    pub key: String,
    /// Its revision since.
    pub revision: u64,
}

/// Tells of every write, for as long as somebody listens. Each watch begins with what is there, so that a write before it
/// or during a pause is told of as well.
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
