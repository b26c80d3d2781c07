//! Where nodes are heard: bucket `cfg_reported`, one key a node, written by the node alone.
//!
//! What is heard goes into a [`Notebook`]. Hearing ends only with the door: whatever happens to NATS, the bucket is read
//! again from its newest entries. A report that claims to be another node's, or that can't be read, is passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_nats::jetstream::{self, kv};
use futures::StreamExt;
use schema::address::{Bucket, Prefix};
use schema::desired::Cause;
use schema::id::{LogId, NodeId};
use schema::position::Position;
use schema::report::{Reported, Summary};
use schema::seal::PublicKey;
use schema::wire::Record;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::lead::{Lead, Trust};
use super::notebook::{Due, Heard, Notebook};

/// A watch that brings nothing for so long is made anew: nodes report every 10 s, and a watch of a bucket that was
/// emptied meanwhile would wait for a sequence that may never come.
const WATCH_SILENCE_MAX: Duration = Duration::from_secs(15);
/// How long one step of making a watch may take.
const WATCH_TIME: Duration = Duration::from_secs(5);
/// Rest before a watch that broke is made anew, up to twice this by chance, so that servers don't come back in step.
const REST: Duration = Duration::from_millis(250);

/// What nodes say, for everybody who wants to know. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Ears(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    notebook: Mutex<Notebook>,
    /// What nodes prove, if it is known whose word counts.
    lead: Mutex<Lead>,
    trust: Option<Trust>,
    /// Somebody was heard.
    spoke: Notify,
    /// Whether the bucket is being watched.
    open: AtomicBool,
}

impl Ears {
    /// Those of a log's server, to which nodes can prove how far the log has come.
    #[must_use]
    pub fn of(log_id: LogId, key: PublicKey) -> Self {
        Self(Arc::new(Shared { trust: Some(Trust { log_id, key }), ..Shared::default() }))
    }

    /// The furthest event that any node proves the log to have had, and which node.
    #[must_use]
    pub fn furthest(&self) -> Option<(NodeId, Cause)> {
        self.lead().furthest()
    }

    /// The newest report of a node, and how long ago it was heard.
    #[must_use]
    pub fn heard(&self, node: &NodeId) -> Option<Heard> {
        self.with(|notebook| notebook.heard(node, Instant::now()))
    }

    /// The newest reports of all nodes.
    #[must_use]
    pub fn all(&self) -> BTreeMap<NodeId, Heard> {
        self.with(|notebook| notebook.all(Instant::now()))
    }

    /// The highest position of a log that any node has seen, by its own word.
    #[must_use]
    pub fn highest_seen(&self, log_id: LogId) -> Option<Position> {
        self.with(|notebook| notebook.highest_seen(log_id))
    }

    /// Whether nodes would be heard if they spoke.
    #[must_use]
    pub fn are_open(&self) -> bool {
        self.0.open.load(Ordering::Relaxed)
    }

    /// The next summary that is worth a line in the log, for the one who writes it: at most one a second a node, the
    /// newest each time. `is_news` is [`super::notebook::is_news`] of the newest state. Dropping the future loses nothing.
    pub async fn next_change(&self, is_news: impl Fn(&NodeId, &Summary) -> bool) -> (NodeId, Summary) {
        loop {
            let spoke = self.0.spoke.notified();
            match self.with(|notebook| notebook.due(Instant::now(), &is_news)) {
                Due::Change(node, summary) => return (node, summary),
                Due::Nothing => spoke.await,
                Due::At(at) => tokio::select! {
                    () = spoke => {}
                    () = sleep_until(at) => {}
                },
            }
        }
    }

    /// A change could not be noted: it comes again from [`Ears::next_change`], a second later.
    pub fn again(&self, node: &NodeId) {
        self.with(|notebook| notebook.again(node, Instant::now()));
        self.0.spoke.notify_one();
    }

    /// A node was heard, `age` ago.
    pub fn hear(&self, node: NodeId, mut report: Reported, age: Duration) {
        self.lead().note(self.0.trust.as_ref(), &mut report);
        self.with(|notebook| notebook.hear(node, report, Instant::now(), age));
        self.0.spoke.notify_one();
    }

    fn forget(&self, node: &NodeId) {
        self.lead().forget(node);
        self.with(|notebook| notebook.forget(node));
    }

    fn lead(&self) -> MutexGuard<'_, Lead> {
        self.0.lead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Notebook) -> T) -> T {
        act(&mut self.0.notebook.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Hears until `closing` is cancelled.
pub async fn listen(client: async_nats::Client, prefix: Prefix, ears: Ears, closing: CancellationToken) {
    let mut listener = Listener { bucket: prefix.bucket(Bucket::Reported), ears, passed_over: BTreeSet::new() };
    let hearing = async {
        loop {
            if let Err(deaf) = listener.watch(&client).await
                && listener.ears.0.open.swap(false, Ordering::Relaxed)
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

struct Listener {
    bucket: String,
    ears: Ears,
    /// Keys whose last entry was no report: said once and not every ten seconds.
    passed_over: BTreeSet<String>,
}

/// Why a watch ended.
#[derive(Debug, thiserror::Error)]
enum Deaf {
    #[error("the bucket does not answer in time")]
    Late(#[from] tokio::time::error::Elapsed),
    #[error("the bucket can't be opened")]
    Bucket(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the bucket can't be watched")]
    Watch(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Listener {
    /// Hears from the newest entries on, until the watch breaks or falls silent.
    async fn watch(&mut self, client: &async_nats::Client) -> Result<(), Deaf> {
        let context = jetstream::new(client.clone());
        let store = timeout(WATCH_TIME, context.get_key_value(&self.bucket)).await?;
        let store = store.map_err(|error| Deaf::Bucket(error.into()))?;
        let watch = timeout(WATCH_TIME, store.watch_with_history(">")).await?;
        let mut watch = watch.map_err(|error| Deaf::Watch(error.into()))?;
        self.ears.0.open.store(true, Ordering::Relaxed);
        let mut is_current = false;
        while let Ok(Some(entry)) = timeout(WATCH_SILENCE_MAX, watch.next()).await {
            let entry = entry.map_err(|error| Deaf::Watch(error.into()))?;
            // What was there before the watch is as old as it is; what is live is heard now, whatever the clocks say.
            let age = if is_current && entry.delta == 0 { Duration::ZERO } else { age(&entry) };
            is_current = entry.seen_current;
            self.take(entry, age);
        }
        Ok(())
    }

    fn take(&mut self, entry: kv::Entry, age: Duration) {
        let Ok(node) = entry.key.parse::<NodeId>() else {
            return self.pass_over(entry.key, "the key is no node's id");
        };
        if entry.operation != kv::Operation::Put {
            return self.ears.forget(&node);
        }
        match Reported::read(&entry.value) {
            Ok(report) if report.node == node => {
                self.passed_over.remove(&entry.key);
                self.ears.hear(node, report, age);
            }
            Ok(report) => self.pass_over(entry.key, &format!("it claims to be a report of {}", report.node)),
            Err(unreadable) => self.pass_over(entry.key, &unreadable.to_string()),
        }
    }

    fn pass_over(&mut self, key: String, why: &str) {
        if !self.passed_over.contains(&key) {
            tracing::warn!(key, why, "a report is passed over");
            self.passed_over.insert(key);
        }
    }
}

/// How long ago an entry was written, by the clock of NATS and ours.
fn age(entry: &kv::Entry) -> Duration {
    SystemTime::now().duration_since(SystemTime::from(entry.created)).unwrap_or_default()
}
