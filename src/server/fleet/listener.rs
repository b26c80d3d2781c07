//! Where nodes are heard: bucket `cfg_reported`, one key a node, written by the node alone.
//!
//! What is heard goes into a [`ReportTracker`], cut to a bounded size; of a node that the log does not know only its id and the time
//! are kept. Hearing ends only with the door: whatever happens to NATS, the bucket is read again from its newest entries. A
//! report that claims to be another node's, that can't be read or is too large is passed over, and counted.

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
use schema::report::{REPORT_BYTES_MAX, Reported, Summary};
use schema::seal::PublicKey;
use schema::wire::Record;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::fleet::ahead_proofs::{AheadProofs, TrustedKey};
use crate::fleet::report_tracker::{Heard, NextNote, ReportRevision, ReportTracker};
use crate::fleet::unknown_nodes::{UnknownNodes, UnknownNodesNotice};

/// A watch that brings nothing for so long is made anew: nodes report every 10 s, and a watch of a bucket that was
/// emptied meanwhile would wait for a sequence that may never come.
const WATCH_SILENCE_MAX: Duration = Duration::from_secs(15);
/// How long one step of making a watch may take.
const WATCH_TIME: Duration = Duration::from_secs(5);
/// How often it is looked whether nodes that were unknown are enrolled meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Of so many of them the reports are read at one look.
const READ_AT_ONCE: usize = 100;
/// How far the clock of NATS may be ahead of ours before what it says of a report's age is worth nothing.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(5);
/// Keys whose last entry was passed over that are remembered, so that it is said once.
const PASSED_OVER_MAX: usize = 1_000;
/// Rest before a watch that broke is made anew, up to twice this by chance, so that servers don't come back in step.
const REST: Duration = Duration::from_millis(250);

/// What nodes say, for everybody who wants to know. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ReportListener(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    tracker: Mutex<ReportTracker>,
    unknown: Mutex<UnknownNodes>,
    /// Which nodes the log knows; all, where nobody says.
    enrolled: Option<Enrolled>,
    /// What nodes prove, if it is known whose word counts.
    ahead_proofs: Mutex<AheadProofs>,
    trust: Option<TrustedKey>,
    /// Somebody was heard.
    report_arrived: Notify,
    /// Whether the bucket is being watched.
    is_open: AtomicBool,
}

/// Says whether the log knows a node.
struct Enrolled(Box<dyn Fn(&NodeId) -> bool + Send + Sync>);

impl std::fmt::Debug for Enrolled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Enrolled")
    }
}

impl ReportListener {
    /// Those of a log's server, to which nodes can prove how far the log has come. `is_enrolled` says whether it knows a node.
    #[must_use]
    pub fn of(log_id: LogId, key: PublicKey, is_enrolled: impl Fn(&NodeId) -> bool + Send + Sync + 'static) -> Self {
        let (trust, enrolled) = (Some(TrustedKey { log_id, key }), Some(Enrolled(Box::new(is_enrolled))));
        Self(Arc::new(Shared { trust, enrolled, ..Shared::default() }))
    }

    /// The furthest event that any node proves the log to have had, and which node.
    #[must_use]
    pub fn furthest(&self) -> Option<(NodeId, Cause)> {
        self.ahead_proofs().furthest()
    }

    /// The newest report of a node, and how long ago it was heard.
    #[must_use]
    pub fn heard(&self, node: &NodeId) -> Option<Heard> {
        self.with(|tracker| tracker.heard(node, Instant::now()))
    }

    /// The newest reports of all nodes.
    #[must_use]
    pub fn all(&self) -> BTreeMap<NodeId, Heard> {
        self.with(|tracker| tracker.all(Instant::now()))
    }

    /// The highest position of a log that any node has seen, by its own word.
    #[must_use]
    pub fn highest_seen(&self, log_id: LogId) -> Option<Position> {
        self.with(|tracker| tracker.highest_seen(log_id))
    }

    /// How many nodes report at present that the log does not know.
    #[must_use]
    pub fn unknown(&self) -> usize {
        self.unknown_nodes().reporting(Instant::now())
    }

    /// Whether nodes would be heard if they report_arrived.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        self.0.is_open.load(Ordering::Relaxed)
    }

    /// The next summary that is worth a line in the log, for the one who writes it: at most one a second a node, the
    /// newest each time. `news` is [`crate::fleet::report_tracker::news`] of the newest state. Dropping the future loses nothing.
    pub async fn next_change(&self, news: impl Fn(&NodeId, &Summary) -> Option<Position>) -> (NodeId, Summary) {
        loop {
            let report_arrived = self.0.report_arrived.notified();
            match self.with(|tracker| tracker.due(Instant::now(), &news)) {
                NextNote::Change(node, summary) => return (node, summary),
                NextNote::Nothing => report_arrived.await,
                NextNote::At(at) => tokio::select! {
                    () = report_arrived => {}
                    () = sleep_until(at) => {}
                },
            }
        }
    }

    /// A change could not be noted: it comes again from [`ReportListener::next_change`], a second later.
    pub fn again(&self, node: &NodeId) {
        self.with(|tracker| tracker.again(node, Instant::now()));
        self.0.report_arrived.notify_one();
    }

    /// A node was heard, `age` ago.
    pub fn hear(&self, node: NodeId, report: Reported, age: Duration) {
        self.hear_stored(node, report, age, None);
    }

    fn hear_stored(&self, node: NodeId, mut report: Reported, age: Duration, stored: Option<ReportRevision>) {
        // What the log's key signed for a node counts also where the log has lost that it was enrolled.
        self.ahead_proofs().note(self.0.trust.as_ref(), &mut report);
        let now = Instant::now();
        if !self.is_enrolled(&node) {
            metrics::passed_over("unknown_node");
            // What is older than this machine is up is no node that reports.
            if now.checked_sub(age).is_some_and(|at| self.unknown_nodes().hear(node, at)) {
                metrics::unknown_node_forgotten();
            }
            return;
        }
        self.unknown_nodes().forget(&node);
        report.bound();
        if !self.with(|tracker| tracker.hear(node, report, now, age, stored)) {
            metrics::passed_over("older_boot");
        }
        self.0.report_arrived.notify_one();
    }

    fn forget(&self, node: &NodeId) {
        self.ahead_proofs().forget(node);
        self.unknown_nodes().forget(node);
        self.with(|tracker| tracker.forget(node));
    }

    fn is_enrolled(&self, node: &NodeId) -> bool {
        self.0.enrolled.as_ref().is_none_or(|Enrolled(is_enrolled)| is_enrolled(node))
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

/// Hears until `closing` is cancelled.
pub async fn listen(client: async_nats::Client, prefix: Prefix, reports: ReportListener, closing: CancellationToken) {
    let mut listener = BucketWatch { bucket: prefix.bucket(Bucket::Reported), reports, passed_over: BTreeSet::new() };
    let hearing = async {
        loop {
            if let Err(deaf) = listener.watch(&client).await
                && listener.reports.0.is_open.swap(false, Ordering::Relaxed)
            {
                tracing::warn!(error = &deaf as &dyn std::error::Error, "nodes can't be heard at the moment");
            }
            sleep(REST.mul_f64(1.0 + fastrand::f64())).await;
        }
    };
    tokio::select! {
        () = hearing => {}
        () = closing.cancelled() => {}
    }
}

struct BucketWatch {
    bucket: String,
    reports: ReportListener,
    /// Keys whose last entry was no report: said once and not every ten seconds.
    passed_over: BTreeSet<String>,
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
    /// Hears from the newest entries on, until the watch breaks or falls silent.
    async fn watch(&mut self, client: &async_nats::Client) -> Result<(), WatchError> {
        let context = jetstream::new(client.clone());
        let store = timeout(WATCH_TIME, context.get_key_value(&self.bucket)).await?;
        let store = store.map_err(|error| WatchError::Bucket(error.into()))?;
        let watch = timeout(WATCH_TIME, store.watch_with_history(">")).await?;
        let mut watch = watch.map_err(|error| WatchError::Watch(error.into()))?;
        self.reports.0.is_open.store(true, Ordering::Relaxed);
        let (mut is_current, mut silent_at) = (false, Instant::now() + WATCH_SILENCE_MAX);
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = look.tick() => self.look(&store).await,
                next = timeout_at(silent_at, watch.next()) => {
                    let Ok(Some(entry)) = next else { return Ok(()) };
                    let entry = entry.map_err(|error| WatchError::Watch(error.into()))?;
                    // What was there before the watch is as old as it is; what is live is heard now, whatever the clocks say.
                    let age = if is_current && entry.delta == 0 { Duration::ZERO } else { age(&entry) };
                    (is_current, silent_at) = (entry.seen_current, Instant::now() + WATCH_SILENCE_MAX);
                    self.take(entry, age);
                }
            }
        }
    }

    /// Says who reports without being enrolled, and reads what those said who are enrolled meanwhile.
    async fn look(&mut self, store: &kv::Store) {
        let news = self.reports.unknown_nodes().news(Instant::now());
        if let Some(UnknownNodesNotice { names, count }) = news {
            let names: Vec<&str> = names.iter().map(NodeId::as_str).collect();
            tracing::warn!(
                count,
                nodes = names.join(" "),
                "nodes report that are not enrolled: see whether their --node is right, or enrol them with enrol_node"
            );
        }
        let enrolled = self.reports.unknown_nodes().enrolled(|node| self.reports.is_enrolled(node));
        for node in enrolled.into_iter().take(READ_AT_ONCE) {
            match timeout(WATCH_TIME, store.entry(node.as_str())).await {
                Ok(Ok(Some(entry))) => {
                    let age = age(&entry);
                    self.take(entry, age);
                }
                // It reports again within ten seconds.
                _ => self.reports.unknown_nodes().forget(&node),
            }
        }
    }

    fn take(&mut self, entry: kv::Entry, age: Duration) {
        let Ok(node) = entry.key.parse::<NodeId>() else {
            return self.pass_over(entry.key, "no_node_id", "the key is no node's id");
        };
        if entry.operation != kv::Operation::Put {
            return self.reports.forget(&node);
        }
        let stored = ReportRevision { revision: entry.revision, at: SystemTime::from(entry.created) };
        if self.reports.with(|tracker| tracker.has(&node, stored)) {
            return;
        }
        let bytes = entry.value.len();
        if bytes > REPORT_BYTES_MAX {
            let why = format!("it has {bytes} bytes, more than {REPORT_BYTES_MAX}");
            return self.pass_over(entry.key, "too_large", &why);
        }
        match Reported::read(&entry.value) {
            Ok(report) if report.node == node => {
                self.passed_over.remove(&entry.key);
                self.reports.hear_stored(node, report, age, Some(stored));
            }
            Ok(report) => {
                self.pass_over(entry.key, "other_node", &format!("it claims to be a report of {}", report.node));
            }
            Err(unreadable) => self.pass_over(entry.key, unreadable.code(), &unreadable.to_string()),
        }
    }

    fn pass_over(&mut self, key: String, code: &'static str, why: &str) {
        metrics::passed_over(code);
        if !self.passed_over.contains(&key) {
            tracing::warn!(key, code, why, "a report is passed over");
            if self.passed_over.len() == PASSED_OVER_MAX {
                self.passed_over.pop_first();
            }
            self.passed_over.insert(key);
        }
    }
}

/// How long ago an entry was written, by the clock of NATS and ours. What comes from the future by these can't be shown to be
/// fresh: its node counts as silent until it is heard.
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
        let mut listener =
            BucketWatch { bucket: String::new(), reports: reports.clone(), passed_over: BTreeSet::new() };
        let silence = |reports: &ReportListener| reports.all().into_values().map(|heard| heard.silence).max();
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        // The clock of NATS is ahead of ours.
        let early = entry(1, SystemTime::now() + minutes(60));
        listener.take(early.clone(), age(&early));
        assert!(silence(&reports) > Some(OFFLINE_AFTER), "nobody knows how old it is");
        let live = entry(2, SystemTime::now() + minutes(60));
        listener.take(live.clone(), Duration::ZERO);
        assert_eq!(silence(&reports), Some(Duration::ZERO));
        tokio::time::advance(minutes(2)).await;
        listener.take(live.clone(), age(&live));
        assert_eq!(silence(&reports), Some(minutes(2)), "it was heard then, and not now");
        // A bucket that was made anew counts from 1 again.
        let anew = entry(2, SystemTime::now());
        listener.take(anew.clone(), age(&anew));
        assert!(silence(&reports) < Some(minutes(1)));
    }
}
