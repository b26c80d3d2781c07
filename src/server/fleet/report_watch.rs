//! Watches the reports of nodes: bucket `cfg_reported`, one key for each node, written by the node alone.
//!
//! Whatever happens to NATS, the bucket is read again from its newest entries. A report that claims to be another node's, that can't be
//! read, is too large, or is not signed by the key that the log has for its node is ignored, and counted.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use async_nats::HeaderMap;
use async_nats::connection::State;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::push::OrderedConfig;
use async_nats::jetstream::{self, stream::Stream};
use futures::StreamExt;
use projections::convergence::OFFLINE_AFTER;
use schema::address::{Bucket, Prefix};
use schema::id::NodeId;
use schema::report::{REPORT_BYTES_MAX, Reported};
use schema::wire::WireRecord;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::fleet::listener::ReportListener;
use crate::fleet::report_tracker::{ReportOrigin, ReportRevision};
use crate::fleet::standing::Unsaid;
use crate::fleet::unknown_nodes::UnknownNodesNotice;

/// A watch that is silent for so long is opened again: nodes report every 10 s, and a watch of a bucket that was emptied meanwhile
/// would wait for a sequence that may never come.
const WATCH_SILENCE_MAX: Duration = Duration::from_secs(15);
/// How long NATS may take for one request.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How often unknown nodes are looked up, which may be enrolled meanwhile.
const UNKNOWN_EVERY: Duration = Duration::from_secs(1);
/// How many of their reports are read then.
const READ_AT_ONCE: usize = 100;
/// How far the clock of NATS may be ahead of ours before the age of a report counts as unknown.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(5);
/// Keys of ignored reports that are remembered, so that each is logged once.
const IGNORED_MAX: usize = 1_000;
/// The pause before a watch that ended is opened again, up to twice this by chance, so that servers don't come back in step.
const REST: Duration = Duration::from_millis(250);

/// Listens until `closing` is cancelled.
pub async fn listen(client: async_nats::Client, prefix: Prefix, reports: ReportListener, closing: CancellationToken) {
    let mut watch = BucketWatch { prefix, reports, ignored: BTreeSet::new() };
    let listening = async {
        loop {
            if let Err(ended) = watch.run(&client).await
                && watch.reports.set_listening(false)
            {
                tracing::warn!(error = &ended as &dyn std::error::Error, "can't listen to reports at the moment");
            }
            sleep(REST.mul_f64(1.0 + fastrand::f64())).await;
        }
    };
    tokio::select! {
        () = listening => {}
        () = closing.cancelled() => {}
    }
}

struct BucketWatch {
    prefix: Prefix,
    reports: ReportListener,
    /// Keys whose last entry was no report: logged once and not every ten seconds.
    ignored: BTreeSet<String>,
}

/// Why a watch ended.
#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error("the bucket does not answer in time")]
    Late(#[from] tokio::time::error::Elapsed),
    #[error("the bucket can't be opened")]
    Bucket(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the bucket can't be watched")]
    Watch(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl BucketWatch {
    /// Watches the bucket from its newest entries on, until the watch ends or is silent for too long.
    async fn run(&mut self, client: &async_nats::Client) -> Result<(), WatchError> {
        let context = jetstream::new(client.clone());
        let stream = timeout(ANSWER_WITHIN, context.get_stream(self.prefix.bucket_stream(Bucket::Reported))).await?;
        let stream = stream.map_err(|error| WatchError::Bucket(error.into()))?;
        // The client's own watch of a bucket does not give the headers, where the signatures are.
        let config = OrderedConfig {
            deliver_subject: client.new_inbox(),
            filter_subject: self.prefix.bucket_subjects(Bucket::Reported),
            deliver_policy: DeliverPolicy::LastPerSubject,
            ..OrderedConfig::default()
        };
        let consumer = timeout(ANSWER_WITHIN, stream.create_consumer(config)).await?;
        let consumer = consumer.map_err(|error| WatchError::Watch(error.into()))?;
        let mut is_current = consumer.cached_info().num_pending == 0;
        let watch = timeout(ANSWER_WITHIN, consumer.messages()).await?;
        let mut watch = watch.map_err(|error| WatchError::Watch(error.into()))?;
        self.reports.set_listening(true);
        let mut silent_at = Instant::now() + WATCH_SILENCE_MAX;
        let mut unknown = interval(UNKNOWN_EVERY);
        unknown.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = unknown.tick() => {
                    // Without a connection nobody is heard, and the watch notices that only some ten seconds later.
                    self.reports.set_listening(client.connection_state() == State::Connected);
                    self.look_up_unknown_nodes(&stream).await;
                }
                next = timeout_at(silent_at, watch.next()) => {
                    let Ok(Some(message)) = next else { return Ok(()) };
                    let message = message.map_err(|error| WatchError::Watch(error.into()))?;
                    let info = message.info().map_err(WatchError::Watch)?;
                    let (written, pending) = (SystemTime::from(info.published), info.pending);
                    // An entry that was there before the watch has an age; a live one is heard now, whatever the clocks say.
                    let age = if is_current && pending == 0 { Duration::ZERO } else { age(written) };
                    (is_current, silent_at) = (is_current || pending == 0, Instant::now() + WATCH_SILENCE_MAX);
                    let revision = ReportRevision { revision: info.stream_sequence, at: written };
                    let (subject, headers) = (message.subject.as_str(), message.headers.as_ref());
                    self.hear_entry(&Entry { subject, headers, payload: &message.payload, revision }, age);
                }
            }
        }
    }

    /// Logs which nodes report without being enrolled, and reads the reports of those that are enrolled meanwhile.
    async fn look_up_unknown_nodes(&mut self, stream: &Stream) {
        let notice = self.reports.unknown_nodes().notice(Instant::now());
        if let Some(UnknownNodesNotice { names, count }) = notice {
            let names: Vec<&str> = names.iter().map(NodeId::as_str).collect();
            tracing::warn!(
                count,
                nodes = names.join(" "),
                "nodes report that are not enrolled: see whether their --node is right, or enrol them with enrol_node"
            );
        }
        let enrolled = self.reports.unknown_nodes().enrolled(|node| self.reports.standing(node).is_some());
        for node in enrolled.into_iter().take(READ_AT_ONCE) {
            let subject = self.prefix.bucket_subject(Bucket::Reported, node.as_str());
            match timeout(ANSWER_WITHIN, stream.direct_get_last_for_subject(&subject)).await {
                Ok(Ok(message)) => {
                    let written = SystemTime::from(message.time);
                    let revision = ReportRevision { revision: message.sequence, at: written };
                    let (headers, payload) = (Some(&message.headers), &message.payload);
                    self.hear_entry(&Entry { subject: &subject, headers, payload, revision }, age(written));
                }
                // The node reports again within ten seconds.
                Ok(Err(_)) => self.reports.unknown_nodes().forget(&node),
                // While one waits for NATS here, nobody is heard. The watch may notice sooner that it has ended.
                Err(_) => return,
            }
        }
    }

    fn hear_entry(&mut self, entry: &Entry<'_>, age: Duration) {
        let wildcard = self.prefix.bucket_subjects(Bucket::Reported);
        let key = entry.subject.strip_prefix(wildcard.trim_end_matches('>')).unwrap_or(entry.subject);
        let Ok(node) = key.parse::<NodeId>() else {
            return self.ignore(key, "no_node_id", "the key is no node's id");
        };
        if entry.is_deletion() {
            // Nobody signs a deletion. The report of a node with keys stays, and with it the number that orders those that follow.
            return match self.reports.standing(&node).is_some_and(|standing| standing.has_keys()) {
                true => self.ignore(key, Unsaid::Unsigned.code(), "a deletion is not signed, and the node has keys"),
                false => self.reports.forget(&node),
            };
        }
        if self.reports.has_heard(&node, entry.revision) {
            return;
        }
        let bytes = entry.payload.len();
        if bytes > REPORT_BYTES_MAX {
            return self.ignore(key, "too_large", &format!("it has {bytes} bytes, more than {REPORT_BYTES_MAX}"));
        }
        let report = match Reported::read(entry.payload) {
            Ok(report) if report.node == node => report,
            Ok(report) => {
                return self.ignore(key, "other_node", &format!("it claims to be a report of {}", report.node));
            }
            Err(unreadable) => return self.ignore(key, unreadable.code(), &unreadable.to_string()),
        };
        match self.reports.signer(&report, entry.payload, entry.headers) {
            Ok(signer) => {
                self.ignored.remove(key);
                let origin = ReportOrigin { stored: Some(entry.revision), signer };
                self.reports.hear_from(node, report, age, origin);
            }
            Err(unsaid) => self.ignore(key, unsaid.code(), &unsaid.to_string()),
        }
    }

    fn ignore(&mut self, key: &str, code: &'static str, why: &str) {
        metrics::report_ignored(code);
        if !self.ignored.contains(key) {
            tracing::warn!(key, code, why, "report ignored");
            if self.ignored.len() == IGNORED_MAX {
                self.ignored.pop_first();
            }
            self.ignored.insert(key.to_owned());
        }
    }
}

/// A message of the bucket.
struct Entry<'a> {
    subject: &'a str,
    headers: Option<&'a HeaderMap>,
    payload: &'a [u8],
    revision: ReportRevision,
}

impl Entry<'_> {
    fn is_deletion(&self) -> bool {
        ["KV-Operation", "Nats-Marker-Reason"].iter().any(|name| self.headers.is_some_and(|it| it.get(*name).is_some()))
    }
}

/// How long ago an entry was written, by the clock of NATS and ours. An entry from the future can't be shown to be fresh: its node
/// counts as silent until it reports again.
fn age(written: SystemTime) -> Duration {
    match SystemTime::now().duration_since(written) {
        Ok(age) => age,
        Err(ahead) if ahead.duration() <= CLOCKS_APART_MAX => Duration::ZERO,
        Err(_) => OFFLINE_AFTER * 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A report and how it stands in the bucket.
    fn entry<'a>(payload: &'a [u8], revision: u64, at: SystemTime) -> Entry<'a> {
        Entry { subject: "$KV.cfg_reported.n-1", headers: None, payload, revision: ReportRevision { revision, at } }
    }

    fn payload() -> Vec<u8> {
        let first = include_bytes!("../../../schema/tests/golden/records/reported-first.json");
        let report: Reported = serde_json::from_slice(first).expect("a report");
        assert_eq!(report.node.as_str(), "n-1");
        report.write()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_read_again_or_comes_from_the_future_is_no_sign_of_life() {
        let reports = ReportListener::default();
        let (prefix, payload) = (Prefix::default(), payload());
        let mut watch = BucketWatch { prefix, reports: reports.clone(), ignored: BTreeSet::new() };
        let silence = |reports: &ReportListener| reports.all().into_values().map(|heard| heard.silence).max();
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        // The clock of NATS is ahead of ours.
        let early = entry(&payload, 1, SystemTime::now() + minutes(60));
        watch.hear_entry(&early, age(early.revision.at));
        assert!(silence(&reports) > Some(OFFLINE_AFTER), "nobody knows how old it is");
        let live = entry(&payload, 2, SystemTime::now() + minutes(60));
        watch.hear_entry(&live, Duration::ZERO);
        assert_eq!(silence(&reports), Some(Duration::ZERO));
        tokio::time::advance(minutes(2)).await;
        watch.hear_entry(&live, age(live.revision.at));
        assert_eq!(silence(&reports), Some(minutes(2)), "it was heard then, and not now");
        // A bucket that was made anew counts from 1 again.
        let anew = entry(&payload, 2, SystemTime::now());
        watch.hear_entry(&anew, age(anew.revision.at));
        assert!(silence(&reports) < Some(minutes(1)));
    }
}
