//! Watches the node's desired record in NATS.
//!
//! Invariants: only the newest record is kept, so a node that was offline for weeks applies one record and not each in between;
//! after a reconnect the watch starts again from the present value, because a NATS server that lost its data numbers from 1
//! again; the value is also read every 30 s, in case the watch died without an error.
//!
//! It is not the client's own `kv` watch: that one makes an anonymous consumer, whose filter no permission can restrict to the
//! node's own key. The bytes are not interpreted here.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::push::{Ordered, OrderedConfig};
use async_nats::jetstream::stream::{DirectGetErrorKind, Stream};
use bus::connect::Link;
use bytes::Bytes;
use futures::StreamExt as _;
use program::backoff::Backoff;
use schema::address::{Bucket, Prefix};
use schema::id::NodeId;
use tokio::sync::watch;
use tokio::time::timeout;

/// How long one answer of NATS may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How often the value is read beside the watch.
const READ_EVERY: Duration = Duration::from_secs(30);

/// How long the agent waits before it warns that there is no record: a node may be enrolled while its agent starts.
const ENROLLED_WITHIN: Duration = Duration::from_secs(3);

/// The node's record in NATS, as last seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NewestRecord {
    /// NATS was not read yet.
    #[default]
    Unknown,
    /// NATS holds no record.
    Nothing,
    /// The signed bytes.
    Record(Bytes),
}

/// Sequence and time (ns) of a message in the bucket's stream.
type Revision = (u64, i128);

/// Watches the record of `node` for ever, and sends each new value to `records`.
pub async fn watch_record(link: Link, prefix: Prefix, node: NodeId, records: watch::Sender<NewestRecord>) {
    let watcher = Watcher { link, prefix, node, records };
    let mut backoff = Backoff::default();
    loop {
        watcher.link.up().await;
        match watcher.run_watch(&mut backoff).await {
            WatchEnd::Reconnected => backoff.reset(),
            WatchEnd::Failed(why) => {
                let pause = backoff.failed();
                tracing::warn!(%why, ?pause, "watch of the desired record ended; starting it again");
                tokio::time::sleep(pause).await;
            }
        }
    }
}

struct Watcher {
    link: Link,
    prefix: Prefix,
    node: NodeId,
    records: watch::Sender<NewestRecord>,
}

/// Why a watch ended.
enum WatchEnd {
    Reconnected,
    Failed(String),
}

impl Watcher {
    /// One watch, from the present value until it breaks or the connection was renewed.
    async fn run_watch(&self, backoff: &mut Backoff) -> WatchEnd {
        let mut ups = self.link.ups();
        ups.mark_unchanged();
        let (stream, mut messages) = match timeout(ANSWER_WITHIN, self.begin()).await {
            Ok(Ok(begun)) => begun,
            Ok(Err(why)) => return WatchEnd::Failed(why),
            Err(_) => {
                let stream = self.prefix.bucket_stream(Bucket::Desired);
                return WatchEnd::Failed(format!(
                    "NATS did not answer about stream {stream} within 5 s: is JetStream on there, and may this user ask?"
                ));
            }
        };
        tracing::debug!("watch of the desired record started");
        let mut read = tokio::time::interval(READ_EVERY);
        read.reset();
        let mut last: Option<Revision> = None;
        let mut enrolled = std::pin::pin!(tokio::time::sleep(ENROLLED_WITHIN));
        let mut is_missing = *self.records.borrow() == NewestRecord::Nothing;
        loop {
            tokio::select! {
                () = &mut enrolled, if is_missing => {
                    is_missing = false;
                    self.warn_not_enrolled();
                }
                _ = ups.changed() => return WatchEnd::Reconnected,
                message = messages.next() => match message {
                    Some(Ok(message)) => {
                        backoff.reset();
                        let headers = message.headers.clone().unwrap_or_default();
                        match message.info() {
                            Ok(info) => {
                                last = Some((info.stream_sequence, info.published.unix_timestamp_nanos()));
                                is_missing = false;
                            }
                            Err(error) => return WatchEnd::Failed(error.to_string()),
                        }
                        self.send(&headers, message.payload.clone());
                    }
                    Some(Err(error)) => return WatchEnd::Failed(error.to_string()),
                    None => return WatchEnd::Failed("it closed".to_owned()),
                },
                _ = read.tick() => match self.read_if_missed(&stream, last).await {
                    Ok(false) => {}
                    Ok(true) => return WatchEnd::Failed("it missed a record".to_owned()),
                    Err(why) => tracing::debug!(%why, "the desired record can't be read"),
                },
            }
        }
    }

    /// Creates a consumer of this node's key only. It has a name: then its filter is part of the subject of the create request,
    /// and a permission can restrict a node to its own key.
    async fn begin(&self) -> Result<(Stream<()>, Ordered), String> {
        let stream = self.link.jetstream().get_stream_no_info(self.prefix.bucket_stream(Bucket::Desired)).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let config = OrderedConfig {
            name: Some(format!("{}-{:016x}", self.node, fastrand::u64(..))),
            deliver_subject: self.link.client().new_inbox(),
            filter_subject: self.subject(),
            deliver_policy: DeliverPolicy::LastPerSubject,
            ..OrderedConfig::default()
        };
        let consumer = stream.create_consumer(config).await.map_err(|error| error.to_string())?;
        if consumer.cached_info().num_pending == 0 {
            self.publish(NewestRecord::Nothing);
        }
        let messages = consumer.messages().await.map_err(|error| error.to_string())?;
        Ok((stream, messages))
    }

    /// Reads the value, and sends it if the watch missed it. A replica may lag behind the watch, so a lower sequence counts only
    /// if it was written later: then the bucket was created again.
    async fn read_if_missed(&self, stream: &Stream<()>, last: Option<Revision>) -> Result<bool, String> {
        let read = stream.direct_get_last_for_subject(self.subject());
        let message =
            match timeout(ANSWER_WITHIN, read).await.map_err(|_| "NATS did not answer within 5 s".to_owned())? {
                Ok(message) => message,
                Err(error) if error.kind() == DirectGetErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error.to_string()),
            };
        let found = (message.sequence, message.time.unix_timestamp_nanos());
        let is_missed = last.is_none_or(|last| found != last && found.1 >= last.1);
        if is_missed {
            self.send(&message.headers, message.payload);
        }
        Ok(is_missed)
    }

    /// An operator who mistyped `--node` sees it nowhere else.
    fn warn_not_enrolled(&self) {
        let node = &self.node;
        tracing::warn!(
            %node,
            "node not enrolled: NATS has no record of node {node}. Check whether --node is right; if it is, enrol it with the command \
             {{\"type\": \"enrol_node\", \"id\": \"{node}\", \"labels\": {{}}}} (POST /v1/commands)"
        );
    }

    // A deletion changes nothing on the node: what runs stays in force.
    fn send(&self, headers: &HeaderMap, payload: Bytes) {
        if headers.get("KV-Operation").is_some() || headers.get("Nats-Marker-Reason").is_some() {
            tracing::warn!("desired record deleted in NATS; what runs stays in force");
            return;
        }
        self.publish(NewestRecord::Record(payload));
    }

    fn publish(&self, newest: NewestRecord) {
        self.records.send_if_modified(|known| {
            let is_changed = *known != newest;
            *known = newest;
            is_changed
        });
    }

    fn subject(&self) -> String {
        self.prefix.bucket_subject(Bucket::Desired, self.node.as_str())
    }
}
