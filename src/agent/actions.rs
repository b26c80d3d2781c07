//! The verbs of an agent: each does one thing to the folder, or asks one thing of NATS, and may be done again.
//!
//! Absent on purpose: their order, which `src/agent/main_loop.rs` has.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bus::connect::Link;
use bus::objects::Objects;
use bytes::Bytes;
use program::failpoints;
use program::tasks::run_blocking;
use program::telemetry;
use projections::plan::{ActualState, FetchedContent};
use schema::desired::Desired;
use schema::report::{AttemptState, DETAIL_BYTES_MAX, RecordRef, ReportWarning, truncate_text};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::apply_error::{ApplyError, listed};
use crate::hook::{Hook, HookPhase};
use crate::inotify_watch::TreeWatch;
use crate::layout::Layout;
use crate::node_folder::NodeFolder;
use crate::node_state::{NodeState, PinnedKey, RejectedDigest};
use crate::options::{OnDrift, Options};
use crate::repair_backoff::RepairBackoff;
use crate::report_draft::{ReportDraft, is_same};
use crate::{collect, fetch, published_keys, report, switch, tree};

/// Generations that are kept, besides those that must be.
const KEEP: usize = 3;
/// The warning's code that a check wrote where it should only look.
const CHECK_CHANGED_TREE: &str = "check_changed_tree";

/// The agent of one node.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) options: Options,
    pub(crate) store: NodeFolder,
    pub(crate) status: ReportDraft,
    pub(crate) link: Link,
    pub(crate) objects: Objects,
    pub(crate) shutdown: CancellationToken,
    /// The newest bytes that need no second look.
    pub(crate) judged: Option<Bytes>,
    /// The newest record that was accepted.
    pub(crate) want: Option<Arc<Desired>>,
    /// Tells when what runs is touched.
    pub(crate) notice: Option<TreeWatch>,
    /// Whether there may be something to collect.
    pub(crate) is_untidy: bool,
    /// When it began to work, by a clock that nobody sets.
    pub(crate) begun: Instant,
    /// How often what runs was put right lately.
    pub(crate) repairs: RepairBackoff,
    /// What the operator should know of what is applied.
    pub(crate) warnings: Vec<ReportWarning>,
}

impl Agent {
    /// An agent that has done nothing yet.
    pub(crate) fn of(
        options: Options,
        store: NodeFolder,
        status: ReportDraft,
        link: Link,
        objects: Objects,
        shutdown: CancellationToken,
    ) -> Self {
        let (judged, want, notice, is_untidy) = (None, None, None, true);
        let (begun, repairs, warnings) = (Instant::now(), RepairBackoff::default(), Vec::new());
        Self {
            options,
            store,
            status,
            link,
            objects,
            shutdown,
            judged,
            want,
            notice,
            is_untidy,
            begun,
            repairs,
            warnings,
        }
    }

    /// Takes up what a former agent left: it may have accepted a record and not come to its end.
    pub(crate) fn resume(&mut self) {
        // A kill may have come between a switch and the memory of it: the link is the truth.
        if let Ok(Some(running)) = self.store.running() {
            self.store.note_running(running);
        }
        if let Some(floor) = self.store.state().floor {
            match self.store.record(floor) {
                Ok(record) => self.want = Some(Arc::new(record)),
                Err(fault) => tracing::warn!(fault = fault.with_sources(), "waiting for NATS to say what is wanted"),
            }
        }
        self.warnings = self.store.state().warnings.clone();
        self.status.resume(self.store.attempt().cloned(), self.store.state().floor);
        self.hold();
    }

    /// Writes down what became of the last attempt, for somebody who looks while no agent runs. One that comes to the same
    /// again and again is written once.
    pub(crate) fn note_attempt(&mut self) {
        let Some(ended) = self.status.ended().cloned() else { return };
        let known = self.store.state().attempt.clone().filter(|known| is_same(known, &ended));
        self.store.note(&known.unwrap_or(ended));
    }

    /// What the plan must know. An operator who only wants to hear of drift has the link left as it is, too.
    pub(crate) fn have(&self) -> Result<ActualState, ApplyError> {
        let have = self.store.have(self.options.check.is_some(), self.options.apply.is_some())?;
        let running = match self.options.on_drift {
            OnDrift::Repair => have.running,
            OnDrift::Report => self.store.state().running,
        };
        Ok(ActualState { running, ..have })
    }

    /// The pinned key, or on the first day the only one that the centre has.
    pub(crate) async fn trusted_key(&self) -> Result<PinnedKey, ApplyError> {
        if let Some(key) = &self.store.state().key {
            return Ok(key.clone());
        }
        let key = published_keys::only_key(&self.link, &self.options.nats_prefix).await?;
        tracing::warn!(key = key.hex(), "no --trust was given: trusting the key that NATS has, on first use");
        Ok(key)
    }

    /// Raises the floor. The first record that is accepted pins its key and its log.
    pub(crate) fn accept(&mut self, want: Desired, bytes: &[u8], key: PinnedKey) -> Result<(), ApplyError> {
        let mark = mark(&want);
        let NodeState { floor, running, .. } = *self.store.state();
        self.is_untidy = true;
        self.store.keep_record(mark, bytes)?;
        self.store.remember(|state| {
            (state.key, state.log_id, state.floor) = (Some(key), Some(want.log_id), Some(mark));
        })?;
        tell_skipped(floor, running, mark);
        telemetry::request(want.cause.command_id).in_scope(|| tracing::debug!(position = %mark.position, "accepted"));
        failpoints::APPLY_ACCEPTED.reached();
        self.want = Some(Arc::new(want));
        self.status.accept();
        self.hold();
        Ok(())
    }

    /// Says with its report that the log has come as far as what was accepted: NATS holds nothing as new for this node.
    pub(crate) fn prove(&mut self) {
        let proof = self.store.state().floor.and_then(|floor| self.store.signed(floor));
        if proof.is_some() {
            self.status.prove(proof);
        }
    }

    /// Has content in the cache.
    pub(crate) async fn fetch(&self, contents: &[FetchedContent]) -> Result<(), ApplyError> {
        let missing = fetch::missing(self.store.layout(), contents)?;
        if missing.is_empty() {
            return Ok(());
        }
        if !self.link.is_up() {
            return Err(ApplyError::NatsUnreachable(self.link.unreachable_reason()));
        }
        tokio::select! {
            fetched = fetch::fetch(&self.objects, self.store.layout(), missing) => fetched,
            () = self.shutdown.cancelled() => Err(ApplyError::ShuttingDown),
        }
    }

    /// Writes a generation beside what runs.
    pub(crate) async fn write(&mut self, want: &Arc<Desired>) -> Result<(), ApplyError> {
        // What is watched may give way to what is written.
        self.notice.take().into_iter().for_each(TreeWatch::end);
        let want = want.clone();
        self.on_disk(move |layout| tree::write(layout, &want)).await
    }

    /// Asks the operator's check about a copy of the tree. The copy is thrown away: what is put in force is written after it,
    /// from the record, so nothing that the check or a process of it did to the copy comes to run.
    pub(crate) async fn check(&mut self, want: &Arc<Desired>) -> Result<(), ApplyError> {
        let Some(hook) = self.options.hook(HookPhase::Check) else { return Ok(()) };
        let (mark, copied) = (mark(want), want.clone());
        let copy = self.on_disk(move |layout| tree::write_copy(layout, &copied)).await?;
        self.status.reach(mark, AttemptState::Checking);
        let answer = self.run(&hook, &copy, mark).await;
        let (copied, looked_at) = (want.clone(), copy.clone());
        let changed = self.on_disk(move |_| tree::differences(&looked_at, &copied)).await;
        self.on_disk(|layout| {
            tree::remove_copies(layout);
            Ok(())
        })
        .await?;
        answer?;
        // A copy that the check made unreadable is one that it changed.
        let changed = changed.unwrap_or_else(|fault| vec![fault.with_sources()]);
        if !changed.is_empty() {
            let detail = format!(
                "the --check command changed its copy of the tree: {}. What runs was written without that, as it was \
                 signed; have the check write elsewhere",
                listed(&changed)
            );
            tracing::warn!(position = %mark.position, detail, "the check changed the tree that it was asked about");
            let code = CHECK_CHANGED_TREE.to_owned();
            self.warnings = vec![ReportWarning { code, detail: truncate_text(&detail, DETAIL_BYTES_MAX) }];
        }
        Ok(())
    }

    /// Puts a generation in force.
    pub(crate) async fn switch(&mut self, mark: RecordRef) -> Result<(), ApplyError> {
        self.store.keep_lock()?;
        self.on_disk(move |layout| switch::switch(layout, mark)).await?;
        self.store.note_running(mark);
        Ok(())
    }

    /// Tells the operator's hook, if there is one, that a tree is in force.
    pub(crate) async fn hook(&self, mark: RecordRef) -> Result<(), ApplyError> {
        let Some(hook) = self.options.hook(HookPhase::Apply) else { return Ok(()) };
        self.run(&hook, &self.store.layout().generation(mark), mark).await
    }

    async fn run(&self, hook: &Hook, tree: &Path, mark: RecordRef) -> Result<(), ApplyError> {
        tokio::select! {
            answer = hook.run(tree, mark) => answer,
            () = self.shutdown.cancelled() => Err(ApplyError::ShuttingDown),
        }
    }

    /// It works: only now is it what one goes back to.
    pub(crate) async fn settle(&mut self, mark: RecordRef) -> Result<(), ApplyError> {
        let warnings = self.warnings.clone();
        self.store.remember(|state| {
            state.last_good = Some(mark);
            state.warnings = warnings;
            state.forgive(mark.digest);
        })?;
        self.hold();
        // What was written anew differs in nothing.
        self.status.drift(&[]);
        self.status.reach(mark, AttemptState::Applied);
        Ok(())
    }

    /// Removes what the records since the last time have made old, whether they were applied, rejected or changed nothing.
    pub(crate) async fn tidy(&mut self) {
        if std::mem::take(&mut self.is_untidy) {
            self.collect(KEEP).await;
        }
    }

    /// Removes what is not needed. What can't be removed now is removed another time.
    pub(crate) async fn collect(&self, keep: usize) {
        let state = self.store.state();
        let needed: Vec<RecordRef> = [state.floor, state.running, state.last_good].into_iter().flatten().collect();
        if let Err(fault) = self.on_disk(move |layout| collect::collect(layout, &needed, keep)).await {
            tracing::warn!(fault = fault.with_sources(), "can't remove what is old");
        }
    }

    /// The operator said no: remember it first, then put the last good tree back in force.
    pub(crate) async fn reject(
        &mut self,
        want: &Desired,
        code: &'static str,
        detail: String,
    ) -> Result<(), ApplyError> {
        let (mark, retry, at) = (mark(want), want.retry, report::now());
        let RecordRef { position, digest } = mark;
        self.store.remember(|state| {
            state.reject(RejectedDigest { position, digest, retry, code: code.to_owned(), detail, at });
        })?;
        if self.store.running()? == Some(mark) {
            self.restore(mark).await?;
        }
        self.hold();
        self.leave_rejected(mark);
        Ok(())
    }

    /// Puts the last good tree back in force, or none if there is none.
    pub(crate) async fn restore(&mut self, bad: RecordRef) -> Result<(), ApplyError> {
        let good = self.store.state().last_good.filter(|good| self.store.layout().generation(*good).is_dir());
        let Some(good) = good else {
            self.on_disk(switch::clear).await?;
            return self.store.remember(|state| state.running = None);
        };
        tracing::warn!(from = %bad.position, to = %good.position, "going back to what was last good");
        self.renew(good).await;
        self.switch(good).await?;
        match self.hook(good).await {
            Err(ApplyError::ShuttingDown) => Err(ApplyError::ShuttingDown),
            // It was good before, and there is nothing else to go back to.
            Err(fault) => {
                tracing::error!(fault = fault.with_sources(), "the hook fails on what was last good");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Says again that a digest was rejected, and why.
    pub(crate) fn leave_rejected(&mut self, mark: RecordRef) {
        if let Some(rejected) = self.store.state().rejection(mark.digest) {
            self.status.fail_again(mark, &rejected.code, rejected.detail.clone());
        }
    }

    /// How long it has worked.
    pub(super) fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Work on files, where it keeps nobody else waiting. It is never cut off in the middle.
    pub(super) async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Layout) -> Result<T, ApplyError> + Send + 'static,
    ) -> Result<T, ApplyError> {
        let layout = self.store.layout().clone();
        run_blocking(move || work(&layout)).await
    }

    /// Brings the report up to date with what is remembered and what runs.
    pub(crate) fn hold(&mut self) {
        let running = self.store.running().unwrap_or_default();
        self.status.hold(self.store.state(), running);
    }
}

/// A record as a report names it.
pub(crate) fn mark(record: &Desired) -> RecordRef {
    RecordRef { position: record.position, digest: record.digest }
}

/// Says which versions this node never had. A version is a position of the log, most of which concern other nodes.
fn tell_skipped(floor: Option<RecordRef>, running: Option<RecordRef>, to: RecordRef) {
    let Some(from) = floor.filter(|floor| floor.position < to.position) else { return };
    let (first, last) = (from.position.get() + 1, to.position.get() - 1);
    if first <= last {
        tracing::info!(from = %from.position, to = %to.position, "newer record; versions {first} to {last} are skipped");
    }
    if running.is_none_or(|running| running.digest != from.digest) {
        tracing::info!(to = %to.position, "version {} was seen, and is skipped without having come to run", from.position);
    }
}
