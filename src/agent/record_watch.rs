//! Watches the node's desired record in NATS: it reads the value after each connect, whenever it hears that there may be another one, and
//! every 30 s.
//!
//! Invariants: only the newest record is kept, so a node that was offline for weeks applies one record and not each in between; only
//! what the stream holds counts; a message that was lost on the way costs at most 30 s.
//!
//! It makes no consumer: those cost NATS memory for each node, and one client can make so many that nobody else gets one. What is heard
//! is only a hint to read: the stream may not have taken it, and another node can have the answer to a request of its own sent here.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::stream::{DirectGetErrorKind, Stream};
use bus::connect::Link;
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use program::backoff::Backoff;
use schema::address::{Bucket, Prefix};
use schema::desired::RecordPlace;
use schema::id::NodeId;
use schema::seal::SignedRecord;
use schema::wire::WireRecord as _;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// How long one answer of NATS may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How often the value is read without a hint.
const READ_EVERY: Duration = Duration::from_secs(30);
/// The least time between two reads, however many hints there are.
const READ_GAP: Duration = Duration::from_millis(20);
/// A replica of the stream may lag behind a hint: it is read again after this time, this often.
const LAG: Duration = Duration::from_millis(250);
const LAG_READS: u32 = 4;
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
                sleep(pause).await;
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

/// What a read brought.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ReadOutcome {
    /// A value that was not known.
    New,
    /// The known value, or one that stands before it: a replica may lag.
    Known,
}

impl Watcher {
    /// One watch, from the present value until it breaks or the connection was renewed.
    async fn run_watch(&self, backoff: &mut Backoff) -> WatchEnd {
        let mut ups = self.link.ups();
        ups.mark_unchanged();
        let stream = self.link.jetstream().get_stream_no_info(self.prefix.bucket_stream(Bucket::Desired)).await;
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => return WatchEnd::Failed(error.to_string()),
        };
        // Heard first and read then: nothing that is written in between is missed.
        let mut hints = match self.link.client().subscribe(self.subject()).await {
            Ok(hints) => hints,
            Err(error) => return WatchEnd::Failed(error.to_string()),
        };
        if let Err(why) = self.read(&stream, true).await {
            return WatchEnd::Failed(why);
        }
        backoff.reset();
        tracing::debug!("watch of the desired record started");
        let (mut last_read, mut reads_left) = (Instant::now(), 0);
        let mut next_read = last_read + READ_EVERY;
        let mut enrolled = std::pin::pin!(sleep(ENROLLED_WITHIN));
        let mut is_missing = *self.records.borrow() == NewestRecord::Nothing;
        loop {
            tokio::select! {
                () = &mut enrolled, if is_missing => {
                    is_missing = false;
                    if *self.records.borrow() == NewestRecord::Nothing {
                        self.warn_not_enrolled();
                    }
                }
                _ = ups.changed() => return WatchEnd::Reconnected,
                hint = hints.next() => {
                    if hint.is_none() {
                        return WatchEnd::Failed("it closed".to_owned());
                    }
                    // One read answers all hints that are there.
                    while hints.next().now_or_never().flatten().is_some() {}
                    (next_read, reads_left) = (next_read.min(last_read + READ_GAP), LAG_READS);
                }
                () = sleep_until(next_read) => {
                    // The last read after a hint is believed, also if it goes back.
                    let read = self.read(&stream, reads_left <= 1).await;
                    last_read = Instant::now();
                    reads_left = if matches!(read, Ok(ReadOutcome::New)) { 0 } else { reads_left.saturating_sub(1) };
                    next_read = last_read + if reads_left > 0 { LAG } else { READ_EVERY };
                    if let Err(why) = read {
                        tracing::debug!(%why, "the desired record can't be read");
                    }
                }
            }
        }
    }

    /// Reads the value, and takes it. One that stands before the known one is taken only if it `is_believed`.
    async fn read(&self, stream: &Stream<()>, is_believed: bool) -> Result<ReadOutcome, String> {
        let value = self.value(stream).await?;
        let (is_known, is_gone, is_before) = {
            let known = self.records.borrow();
            // A record that is gone from NATS changes nothing on the node.
            let is_gone = value == NewestRecord::Nothing && matches!(*known, NewestRecord::Record(_));
            (*known == value, is_gone, stands_before(&value, &known))
        };
        if is_known || is_gone || (is_before && !is_believed) {
            return Ok(ReadOutcome::Known);
        }
        self.records.send_replace(value);
        Ok(ReadOutcome::New)
    }

    async fn value(&self, stream: &Stream<()>) -> Result<NewestRecord, String> {
        let read = stream.direct_get_last_for_subject(self.subject());
        match timeout(ANSWER_WITHIN, read).await {
            Ok(Ok(message)) if is_deletion(&message.headers) => {
                // A deletion changes nothing on the node: what runs stays in force.
                tracing::warn!("desired record deleted in NATS; what runs stays in force");
                Ok(self.records.borrow().clone())
            }
            Ok(Ok(message)) => Ok(NewestRecord::Record(message.payload)),
            Ok(Err(error)) if error.kind() == DirectGetErrorKind::NotFound => Ok(NewestRecord::Nothing),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => {
                let stream = self.prefix.bucket_stream(Bucket::Desired);
                Err(format!(
                    "NATS did not answer about stream {stream} within 5 s: is JetStream on there, and may this user ask?"
                ))
            }
        }
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

    fn subject(&self) -> String {
        self.prefix.bucket_subject(Bucket::Desired, self.node.as_str())
    }
}

/// Whether a record is of the same log as the known one, and of a lower position. Neither is verified here.
fn stands_before(found: &NewestRecord, known: &NewestRecord) -> bool {
    let place = |record: &NewestRecord| {
        let NewestRecord::Record(bytes) = record else { return None };
        let place = RecordPlace::read(&SignedRecord::read(bytes).ok()?.body).ok()?;
        Some((place.log_id, place.position))
    };
    let (Some(found), Some(known)) = (place(found), place(known)) else { return false };
    found.0 == known.0 && found.1 < known.1
}

fn is_deletion(headers: &HeaderMap) -> bool {
    ["KV-Operation", "Nats-Marker-Reason"].iter().any(|name| headers.get(*name).is_some())
}
