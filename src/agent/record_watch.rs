//! The node's own desired record, as it changes.
//!
//! What always holds: only the newest record waits, so a node that was away for weeks applies one and not each in between;
//! after a reconnect the watch is made anew from the present value, because a server that lost its data counts from 1
//! again; the value is also read now and then, in case a watch died in silence.
//!
//! Absent on purpose: any judgement of what the bytes say.

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

/// How long one answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How often the value is read although nothing was heard.
const READ_EVERY: Duration = Duration::from_secs(30);

/// How long it is waited for a record before it is said that there is none: a node may be enrolled while its agent starts.
const ENROLLED_WITHIN: Duration = Duration::from_secs(3);

/// What NATS holds for the node, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NewestRecord {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    /// No record.
    Nothing,
    /// This one.
    Record(Bytes),
}

/// One look at the bucket: which revision, and when it was written.
type Revision = (u64, i128);

/// Follows the record of `node` for ever, sending each new value to `records`.
pub async fn follow(link: Link, prefix: Prefix, node: NodeId, records: watch::Sender<NewestRecord>) {
    let watcher = Watcher { link, prefix, node, records };
    let mut backoff = Backoff::default();
    loop {
        watcher.link.up().await;
        match watcher.while_it_lasts(&mut backoff).await {
            Ended::Reconnected => backoff.reset(),
            Ended::Failed(why) => {
                let pause = backoff.failed();
                tracing::warn!(%why, ?pause, "the watch of the desired record ended; making it anew");
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
enum Ended {
    Reconnected,
    Failed(String),
}

impl Watcher {
    /// One watch, from the present value to its end.
    async fn while_it_lasts(&self, backoff: &mut Backoff) -> Ended {
        let mut ups = self.link.ups();
        ups.mark_unchanged();
        let (stream, mut messages) = match timeout(ANSWER_WITHIN, self.begin()).await {
            Ok(Ok(begun)) => begun,
            Ok(Err(why)) => return Ended::Failed(why),
            Err(_) => {
                let stream = self.prefix.bucket_stream(Bucket::Desired);
                return Ended::Failed(format!(
                    "NATS did not answer about stream {stream} within 5 s: is JetStream on there, and may this user ask?"
                ));
            }
        };
        tracing::debug!("watching the desired record");
        let mut read = tokio::time::interval(READ_EVERY);
        read.reset();
        let mut last: Option<Revision> = None;
        let mut enrolled = std::pin::pin!(tokio::time::sleep(ENROLLED_WITHIN));
        let mut is_missing = *self.records.borrow() == NewestRecord::Nothing;
        loop {
            tokio::select! {
                () = &mut enrolled, if is_missing => {
                    is_missing = false;
                    self.tell_missing();
                }
                _ = ups.changed() => return Ended::Reconnected,
                message = messages.next() => match message {
                    Some(Ok(message)) => {
                        backoff.reset();
                        let headers = message.headers.clone().unwrap_or_default();
                        match message.info() {
                            Ok(info) => {
                                last = Some((info.stream_sequence, info.published.unix_timestamp_nanos()));
                                is_missing = false;
                            }
                            Err(error) => return Ended::Failed(error.to_string()),
                        }
                        self.send(&headers, message.payload.clone());
                    }
                    Some(Err(error)) => return Ended::Failed(error.to_string()),
                    None => return Ended::Failed("it closed".to_owned()),
                },
                _ = read.tick() => match self.read_behind(&stream, last).await {
                    Ok(false) => {}
                    Ok(true) => return Ended::Failed("it missed a record".to_owned()),
                    Err(why) => tracing::debug!(%why, "the desired record can't be read"),
                },
            }
        }
    }

    /// A consumer of this node's key and nothing else. It has a name, so that its filter is part of the subject that makes
    /// it and a permission can hold a node to its own key.
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
            self.tell(NewestRecord::Nothing);
        }
        let messages = consumer.messages().await.map_err(|error| error.to_string())?;
        Ok((stream, messages))
    }

    /// Reads the value, and sends it if it is newer than what the watch has brought. A replica may lag behind the watch,
    /// so an older revision is only believed where it was written later: then the bucket was made anew.
    async fn read_behind(&self, stream: &Stream<()>, last: Option<Revision>) -> Result<bool, String> {
        let read = stream.direct_get_last_for_subject(self.subject());
        let message =
            match timeout(ANSWER_WITHIN, read).await.map_err(|_| "NATS did not answer within 5 s".to_owned())? {
                Ok(message) => message,
                Err(error) if error.kind() == DirectGetErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error.to_string()),
            };
        let found = (message.sequence, message.time.unix_timestamp_nanos());
        let is_news = last.is_none_or(|last| found != last && found.1 >= last.1);
        if is_news {
            self.send(&message.headers, message.payload);
        }
        Ok(is_news)
    }

    /// Says what to do about a node without a record: whoever mistyped its id sees nothing of it elsewhere.
    fn tell_missing(&self) {
        let node = &self.node;
        tracing::warn!(
            %node,
            "not enrolled: NATS has no record of node {node}. See whether --node is right; if it is, enrol it with the command \
             {{\"type\": \"enrol_node\", \"id\": \"{node}\", \"labels\": {{}}}} (POST /v1/commands)"
        );
    }

    /// A deletion is no record: what runs stays.
    fn send(&self, headers: &HeaderMap, payload: Bytes) {
        if headers.get("KV-Operation").is_some() || headers.get("Nats-Marker-Reason").is_some() {
            tracing::warn!("the desired record was deleted; what runs stays in force");
            return;
        }
        self.tell(NewestRecord::Record(payload));
    }

    fn tell(&self, newest: NewestRecord) {
        self.records.send_if_modified(|known| {
            let is_other = *known != newest;
            *known = newest;
            is_other
        });
    }

    fn subject(&self) -> String {
        self.prefix.bucket_subject(Bucket::Desired, self.node.as_str())
    }
}
