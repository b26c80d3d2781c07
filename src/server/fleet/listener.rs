//! Listens to the reports of nodes: bucket `cfg_reported`, one key for each node, written by the node alone.
//!
//! Reports go into a [`ReportTracker`], cut to a bounded size; of a node that is not enrolled only its id and the time are kept.
//! Whatever happens to NATS, the bucket is read again from its newest entries. A report that claims to be another node's, that can't be
//! read, is too large, or is not signed by the key that the log has for its node is ignored, and counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::push::OrderedConfig;
use async_nats::jetstream::{self, stream::Stream};
use futures::StreamExt;
use projections::convergence::OFFLINE_AFTER;
use schema::address::{Bucket, Prefix};
use schema::desired::Cause;
use schema::id::{LogId, NodeId};
use schema::node_keys::KeyBytes;
use schema::position::Position;
use schema::report::{REPORT_BYTES_MAX, ReportSummary, Reported};
use schema::say::Statement;
use schema::seal::PublicKey;
use schema::wire::WireRecord;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::fleet::ahead_proofs::{AheadProofs, TrustedKey};
use crate::fleet::report_tracker::{HeardReport, NextChange, ReportOrigin, ReportRevision, ReportTracker};
use crate::fleet::standing::{Standing, Unsaid};
use crate::fleet::unknown_nodes::{UnknownNodes, UnknownNodesNotice};

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

/// The newest reports of nodes. Cheap to clone; all clones share them.
#[derive(Clone, Debug, Default)]
pub struct ReportListener(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    tracker: Mutex<ReportTracker>,
    unknown: Mutex<UnknownNodes>,
    /// What the log says of a node; without it, each is enrolled and has no keys.
    standing: Option<StandingLookup>,
    /// Empty without `trust`.
    ahead_proofs: Mutex<AheadProofs>,
    trust: Option<TrustedKey>,
    /// Notified after each report.
    report_arrived: Notify,
    /// Whether the bucket is being watched.
    is_open: AtomicBool,
}

/// Says what the log says of a node; nothing, if it was never enrolled.
struct StandingLookup(Box<StandingOf>);

type StandingOf = dyn Fn(&NodeId) -> Option<Standing> + Send + Sync;

impl std::fmt::Debug for StandingLookup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StandingLookup")
    }
}

impl ReportListener {
    /// The listener of one log's server. Nodes prove events of the log by this key; `standing` says what the log says of a node.
    #[must_use]
    pub fn of(
        log_id: LogId,
        key: PublicKey,
        standing: impl Fn(&NodeId) -> Option<Standing> + Send + Sync + 'static,
    ) -> Self {
        let (trust, standing) = (Some(TrustedKey { log_id, key }), Some(StandingLookup(Box::new(standing))));
        Self(Arc::new(Shared { trust, standing, ..Shared::default() }))
    }

    /// The latest event that any node proves the log to have had, and the node.
    #[must_use]
    pub fn furthest_proof(&self) -> Option<(NodeId, Cause)> {
        self.ahead_proofs().furthest()
    }

    /// The newest report of a node, and how long ago it was heard.
    #[must_use]
    pub fn heard(&self, node: &NodeId) -> Option<HeardReport> {
        self.with(|tracker| tracker.heard(node, Instant::now()))
    }

    /// The newest reports of all nodes.
    #[must_use]
    pub fn all(&self) -> BTreeMap<NodeId, HeardReport> {
        self.with(|tracker| tracker.all(Instant::now()))
    }

    /// The highest position of a log that any node claims to have seen.
    #[must_use]
    pub fn highest_seen(&self, log_id: LogId) -> Option<Position> {
        self.with(|tracker| tracker.highest_seen(log_id))
    }

    /// How many nodes report at present and are not enrolled.
    #[must_use]
    pub fn unknown(&self) -> usize {
        self.unknown_nodes().reporting(Instant::now())
    }

    /// Whether the bucket is being watched, so that a report would be heard.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        self.0.is_open.load(Ordering::Relaxed)
    }

    /// Waits for the next summary to append: at most one a second for each node, the newest each time. `noteworthy` is
    /// [`crate::fleet::report_tracker::noteworthy`] with the newest state. Dropping the future loses nothing.
    pub async fn next_change(
        &self,
        noteworthy: impl Fn(&NodeId, &ReportSummary) -> Option<Position>,
    ) -> (NodeId, ReportSummary) {
        loop {
            let report_arrived = self.0.report_arrived.notified();
            match self.with(|tracker| tracker.next(Instant::now(), &noteworthy)) {
                NextChange::Append(node, summary) => return (node, summary),
                NextChange::Nothing => report_arrived.await,
                NextChange::At(at) => tokio::select! {
                    () = report_arrived => {}
                    () = sleep_until(at) => {}
                },
            }
        }
    }

    /// A change could not be appended: [`ReportListener::next_change`] gives it again, a second later.
    pub fn retry_change(&self, node: &NodeId) {
        self.with(|tracker| tracker.retry(node, Instant::now()));
        self.0.report_arrived.notify_one();
    }

    /// Records a report that was heard `age` ago.
    pub fn hear(&self, node: NodeId, report: Reported, age: Duration) {
        self.hear_from(node, report, age, ReportOrigin::default());
    }

    fn hear_from(&self, node: NodeId, mut report: Reported, age: Duration, origin: ReportOrigin) {
        // A proof counts also where the log has lost the event that enrolled the node.
        self.ahead_proofs().take_proof(self.0.trust.as_ref(), &mut report);
        let now = Instant::now();
        if self.standing(&node).is_none() {
            metrics::report_ignored("unknown_node");
            // A report from before this machine's boot can't be dated by its clock, and is no node that reports at present.
            if now.checked_sub(age).is_some_and(|at| self.unknown_nodes().hear(node, at)) {
                metrics::unknown_node_forgotten();
            }
            return;
        }
        self.unknown_nodes().forget(&node);
        report.truncate();
        if !self.with(|tracker| tracker.hear(node, report, now, age, origin)) {
            metrics::report_ignored("older_boot");
        }
        self.0.report_arrived.notify_one();
    }

    fn forget(&self, node: &NodeId) {
        self.ahead_proofs().forget(node);
        self.unknown_nodes().forget(node);
        self.with(|tracker| tracker.forget(node));
    }

    fn standing(&self, node: &NodeId) -> Option<Standing> {
        match &self.0.standing {
            Some(StandingLookup(standing)) => standing(node),
            None => Some(Standing::default()),
        }
    }

    /// The key that signed a report, if one did.
    fn signer(
        &self,
        report: &Reported,
        message: &[u8],
        headers: Option<&HeaderMap>,
    ) -> Result<Option<KeyBytes>, Unsaid> {
        let Some(standing) = self.standing(&report.node) else { return Ok(None) };
        let signer = standing.check(Statement::Report, message, headers)?;
        match (signer, report.sent()) {
            (Some(_), None) => Err(Unsaid::Unnumbered),
            // After a failover the log knows more of what was heard than this process does.
            (Some(_), sent) if sent < standing.reported => Err(Unsaid::Old),
            (signer, _) => Ok(signer),
        }
    }

    fn unknown_nodes(&self) -> MutexGuard<'_, UnknownNodes> {
        self.0.unknown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ahead_proofs(&self) -> MutexGuard<'_, AheadProofs> {
        self.0.ahead_proofs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, act: impl FnOnce(&mut ReportTracker) -> T) -> T {
        act(&mut self.0.tracker.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Listens until `closing` is cancelled.
pub async fn listen(client: async_nats::Client, prefix: Prefix, reports: ReportListener, closing: CancellationToken) {
    let mut watch = BucketWatch { prefix, reports, ignored: BTreeSet::new() };
    let listening = async {
        loop {
            if let Err(ended) = watch.run(&client).await
                && watch.reports.0.is_open.swap(false, Ordering::Relaxed)
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
        self.reports.0.is_open.store(true, Ordering::Relaxed);
        let mut silent_at = Instant::now() + WATCH_SILENCE_MAX;
        let mut unknown = interval(UNKNOWN_EVERY);
        unknown.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = unknown.tick() => self.look_up_unknown_nodes(&stream).await,
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
                _ => self.reports.unknown_nodes().forget(&node),
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
        if self.reports.with(|tracker| tracker.has_heard(&node, entry.revision)) {
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
