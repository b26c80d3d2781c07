//! The newest reports of nodes, as the rest of the server asks for them.
//!
//! Reports go into a [`ReportTracker`], cut to a bounded size; of a node that is not enrolled only its id and the time are kept. They come
//! from the bucket `cfg_reported`: see [`super::report_watch`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::HeaderMap;
use projections::convergence::OFFLINE_AFTER;
use schema::desired::Cause;
use schema::id::{LogId, NodeId};
use schema::node_keys::KeyBytes;
use schema::position::Position;
use schema::report::{ReportSummary, Reported};
use schema::say::Statement;
use schema::seal::PublicKey;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::fleet::ahead_proofs::{AheadProofs, TrustedKey};
use crate::fleet::report_tracker::{HeardReport, NextChange, ReportOrigin, ReportRevision, ReportTracker};
use crate::fleet::standing::{Standing, Unsaid};
use crate::fleet::unknown_nodes::UnknownNodes;

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

    /// Whether a node was heard lately.
    #[must_use]
    pub fn is_heard(&self, node: &NodeId) -> bool {
        self.heard(node).is_some_and(|heard| heard.silence <= OFFLINE_AFTER)
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

    /// Records a report of this origin that was heard `age` ago.
    pub(super) fn hear_from(&self, node: NodeId, mut report: Reported, age: Duration, origin: ReportOrigin) {
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

    /// The entry of a node was deleted.
    pub(super) fn forget(&self, node: &NodeId) {
        self.ahead_proofs().forget(node);
        self.unknown_nodes().forget(node);
        self.with(|tracker| tracker.forget(node));
    }

    /// What the log says of a node; nothing, if it was never enrolled.
    pub(super) fn standing(&self, node: &NodeId) -> Option<Standing> {
        match &self.0.standing {
            Some(StandingLookup(standing)) => standing(node),
            None => Some(Standing::default()),
        }
    }

    /// The key that signed a report, if one did.
    pub(super) fn signer(
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

    /// Whether this entry of a node was heard before.
    pub(super) fn has_heard(&self, node: &NodeId, revision: ReportRevision) -> bool {
        self.with(|tracker| tracker.has_heard(node, revision))
    }

    /// The bucket is being watched, or no more. Gives what was so before.
    pub(super) fn set_listening(&self, is_listening: bool) -> bool {
        self.0.is_open.swap(is_listening, Ordering::Relaxed)
    }

    /// Nodes that report and are not enrolled.
    pub(super) fn unknown_nodes(&self) -> MutexGuard<'_, UnknownNodes> {
        self.0.unknown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ahead_proofs(&self) -> MutexGuard<'_, AheadProofs> {
        self.0.ahead_proofs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, act: impl FnOnce(&mut ReportTracker) -> T) -> T {
        act(&mut self.0.tracker.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
