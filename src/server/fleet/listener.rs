//! Listens to the reports of nodes: bucket `cfg_reported`, one key for each node, written by the node alone.
//!
//! Reports go into a [`ReportTracker`], cut to a bounded size; of a node that is not enrolled only its id and the time are kept.
//! Whatever happens to NATS, the bucket is read again from its newest entries. A report that claims to be another node's, that can't be
//! read or is too large is ignored, and counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_nats::jetstream::{self, kv};
use futures::StreamExt;
use projections::convergence::OFFLINE_AFTER;
use schema::address::{Bucket, Prefix};
use schema::desired::Cause;
use schema::id::{LogId, NodeId};
use schema::position::Position;
use schema::report::{REPORT_BYTES_MAX, ReportSummary, Reported};
use schema::seal::PublicKey;
use schema::wire::WireRecord;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::fleet::ahead_proofs::{AheadProofs, TrustedKey};
use crate::fleet::report_tracker::{HeardReport, NextChange, ReportRevision, ReportTracker};
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
    /// Which nodes are enrolled; without it, all are.
    enrolled: Option<EnrolmentLookup>,
    /// Empty without `trust`.
    ahead_proofs: Mutex<AheadProofs>,
    trust: Option<TrustedKey>,
    /// Notified after each report.
    report_arrived: Notify,
    /// Whether the bucket is being watched.
    is_open: AtomicBool,
}

/// Says whether a node is enrolled.
struct EnrolmentLookup(Box<dyn Fn(&NodeId) -> bool + Send + Sync>);

impl std::fmt::Debug for EnrolmentLookup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EnrolmentLookup")
    }
}

impl ReportListener {
    /// The listener of one log's server. Nodes prove events of the log by this key; `is_enrolled` says whether the log knows a node.
    #[must_use]
    pub fn of(log_id: LogId, key: PublicKey, is_enrolled: impl Fn(&NodeId) -> bool + Send + Sync + 'static) -> Self {
        let (trust, enrolled) = (Some(TrustedKey { log_id, key }), Some(EnrolmentLookup(Box::new(is_enrolled))));
        Self(Arc::new(Shared { trust, enrolled, ..Shared::default() }))
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
        self.hear_stored(node, report, age, None);
    }

    fn hear_stored(&self, node: NodeId, mut report: Reported, age: Duration, stored: Option<ReportRevision>) {
        // A proof counts also where the log has lost the event that enrolled the node.
        self.ahead_proofs().take_proof(self.0.trust.as_ref(), &mut report);
        let now = Instant::now();
        if !self.is_enrolled(&node) {
            metrics::report_ignored("unknown_node");
            // A report from before this machine's boot can't be dated by its clock, and is no node that reports at present.
            if now.checked_sub(age).is_some_and(|at| self.unknown_nodes().hear(node, at)) {
                metrics::unknown_node_forgotten();
            }
            return;
        }
        self.unknown_nodes().forget(&node);
        report.truncate();
        if !self.with(|tracker| tracker.hear(node, report, now, age, stored)) {
            metrics::report_ignored("older_boot");
        }
        self.0.report_arrived.notify_one();
    }

    fn forget(&self, node: &NodeId) {
        self.ahead_proofs().forget(node);
        self.unknown_nodes().forget(node);
        self.with(|tracker| tracker.forget(node));
    }

    fn is_enrolled(&self, node: &NodeId) -> bool {
        self.0.enrolled.as_ref().is_none_or(|EnrolmentLookup(is_enrolled)| is_enrolled(node))
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
    let mut watch = BucketWatch { bucket: prefix.bucket(Bucket::Reported), reports, ignored: BTreeSet::new() };
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
    bucket: String,
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
        let store = timeout(ANSWER_WITHIN, context.get_key_value(&self.bucket)).await?;
        let store = store.map_err(|error| WatchError::Bucket(error.into()))?;
        let watch = timeout(ANSWER_WITHIN, store.watch_with_history(">")).await?;
        let mut watch = watch.map_err(|error| WatchError::Watch(error.into()))?;
        self.reports.0.is_open.store(true, Ordering::Relaxed);
        let (mut is_current, mut silent_at) = (false, Instant::now() + WATCH_SILENCE_MAX);
        let mut unknown = interval(UNKNOWN_EVERY);
        unknown.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = unknown.tick() => self.look_up_unknown_nodes(&store).await,
                next = timeout_at(silent_at, watch.next()) => {
                    let Ok(Some(entry)) = next else { return Ok(()) };
                    let entry = entry.map_err(|error| WatchError::Watch(error.into()))?;
                    // An entry that was there before the watch has an age; a live one is heard now, whatever the clocks say.
                    let age = if is_current && entry.delta == 0 { Duration::ZERO } else { age(&entry) };
                    (is_current, silent_at) = (entry.seen_current, Instant::now() + WATCH_SILENCE_MAX);
                    self.hear_entry(entry, age);
                }
            }
        }
    }

    /// Logs which nodes report without being enrolled, and reads the reports of those that are enrolled meanwhile.
    async fn look_up_unknown_nodes(&mut self, store: &kv::Store) {
        let notice = self.reports.unknown_nodes().notice(Instant::now());
        if let Some(UnknownNodesNotice { names, count }) = notice {
            let names: Vec<&str> = names.iter().map(NodeId::as_str).collect();
            tracing::warn!(
                count,
                nodes = names.join(" "),
                "nodes report that are not enrolled: see whether their --node is right, or enrol them with enrol_node"
            );
        }
        let enrolled = self.reports.unknown_nodes().enrolled(|node| self.reports.is_enrolled(node));
        for node in enrolled.into_iter().take(READ_AT_ONCE) {
            match timeout(ANSWER_WITHIN, store.entry(node.as_str())).await {
                Ok(Ok(Some(entry))) => {
                    let age = age(&entry);
                    self.hear_entry(entry, age);
                }
                // The node reports again within ten seconds.
                _ => self.reports.unknown_nodes().forget(&node),
            }
        }
    }

    fn hear_entry(&mut self, entry: kv::Entry, age: Duration) {
        let Ok(node) = entry.key.parse::<NodeId>() else {
            return self.ignore(entry.key, "no_node_id", "the key is no node's id");
        };
        if entry.operation != kv::Operation::Put {
            return self.reports.forget(&node);
        }
        let stored = ReportRevision { revision: entry.revision, at: SystemTime::from(entry.created) };
        if self.reports.with(|tracker| tracker.has_heard(&node, stored)) {
            return;
        }
        let bytes = entry.value.len();
        if bytes > REPORT_BYTES_MAX {
            let why = format!("it has {bytes} bytes, more than {REPORT_BYTES_MAX}");
            return self.ignore(entry.key, "too_large", &why);
        }
        match Reported::read(&entry.value) {
            Ok(report) if report.node == node => {
                self.ignored.remove(&entry.key);
                self.reports.hear_stored(node, report, age, Some(stored));
            }
            Ok(report) => {
                self.ignore(entry.key, "other_node", &format!("it claims to be a report of {}", report.node));
            }
            Err(unreadable) => self.ignore(entry.key, unreadable.code(), &unreadable.to_string()),
        }
    }

    fn ignore(&mut self, key: String, code: &'static str, why: &str) {
        metrics::report_ignored(code);
        if !self.ignored.contains(&key) {
            tracing::warn!(key, code, why, "report ignored");
            if self.ignored.len() == IGNORED_MAX {
                self.ignored.pop_first();
            }
            self.ignored.insert(key);
        }
    }
}

/// How long ago an entry was written, by the clock of NATS and ours. An entry from the future can't be shown to be fresh: its node
/// counts as silent until it reports again.
fn age(entry: &kv::Entry) -> Duration {
    match SystemTime::now().duration_since(SystemTime::from(entry.created)) {
        Ok(age) => age,
        Err(ahead) if ahead.duration() <= CLOCKS_APART_MAX => Duration::ZERO,
        Err(_) => OFFLINE_AFTER * 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(revision: u64, created: SystemTime) -> kv::Entry {
        let first = include_bytes!("../../../schema/tests/golden/records/reported-first.json");
        let report: Reported = serde_json::from_slice(first).expect("a report");
        kv::Entry {
            bucket: "cfg_reported".into(),
            key: report.node.to_string(),
            value: report.write().into(),
            revision,
            delta: 0,
            created: created.into(),
            operation: kv::Operation::Put,
            seen_current: true,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_read_again_or_comes_from_the_future_is_no_sign_of_life() {
        let reports = ReportListener::default();
        let mut watch = BucketWatch { bucket: String::new(), reports: reports.clone(), ignored: BTreeSet::new() };
        let silence = |reports: &ReportListener| reports.all().into_values().map(|heard| heard.silence).max();
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        // The clock of NATS is ahead of ours.
        let early = entry(1, SystemTime::now() + minutes(60));
        watch.hear_entry(early.clone(), age(&early));
        assert!(silence(&reports) > Some(OFFLINE_AFTER), "nobody knows how old it is");
        let live = entry(2, SystemTime::now() + minutes(60));
        watch.hear_entry(live.clone(), Duration::ZERO);
        assert_eq!(silence(&reports), Some(Duration::ZERO));
        tokio::time::advance(minutes(2)).await;
        watch.hear_entry(live.clone(), age(&live));
        assert_eq!(silence(&reports), Some(minutes(2)), "it was heard then, and not now");
        // A bucket that was made anew counts from 1 again.
        let anew = entry(2, SystemTime::now());
        watch.hear_entry(anew.clone(), age(&anew));
        assert!(silence(&reports) < Some(minutes(1)));
    }
}
