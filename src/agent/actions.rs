//! The actions of an agent: each changes one thing in the folder, or asks NATS for one thing, and can be repeated.
//!
//! Their order is in `src/agent/turn.rs`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bus::connect::Link;
use bus::objects::Objects;
use bytes::Bytes;
use program::clock::system_time;
use program::failpoints;
use program::tasks::run_blocking;
use program::telemetry;
use projections::plan::{ActualState, FetchedContent};
use schema::desired::Desired;
use schema::id::LogId;
use schema::report::{AttemptState, DETAIL_BYTES_MAX, RecordRef, ReportWarning, truncate_text};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::apply_error::{ApplyError, list_places};
use crate::hook::{Hook, HookPhase};
use crate::inotify_watch::TreeWatch;
use crate::layout::Layout;
use crate::node_folder::NodeFolder;
use crate::node_state::{NodeState, PinnedKey, RejectedDigest};
use crate::options::{OnDrift, Options};
use crate::repair_backoff::RepairBackoff;
use crate::report_draft::{ReportDraft, is_same};
use crate::{collect, fetch, published_keys, switch, tree};

/// How many of the newest generations are kept besides those in force, last good and wanted.
const KEEP: usize = 3;
/// Code of the warning that the check wrote into its copy of the tree.
const CHECK_CHANGED_TREE: &str = "check_changed_tree";

/// The agent of one node.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) options: Options,
    pub(crate) folder: NodeFolder,
    pub(crate) report: ReportDraft,
    pub(crate) link: Link,
    pub(crate) objects: Objects,
    pub(crate) shutdown: CancellationToken,
    /// The record that was verified last: the same bytes are not verified again.
    pub(crate) judged: Option<Bytes>,
    /// The newest record that was accepted.
    pub(crate) want: Option<Arc<Desired>>,
    /// Watches the generation in force with inotify.
    pub(crate) tree_watch: Option<TreeWatch>,
    /// Whether a record came since the last garbage collection.
    pub(crate) needs_collection: bool,
    /// A monotonic clock, for the repair back-off.
    pub(crate) started: Instant,
    pub(crate) repairs: RepairBackoff,
    /// Warnings about the record that is being applied.
    pub(crate) warnings: Vec<ReportWarning>,
}

impl Agent {
    pub(crate) fn of(
        options: Options,
        folder: NodeFolder,
        report: ReportDraft,
        link: Link,
        objects: Objects,
        shutdown: CancellationToken,
    ) -> Self {
        let (judged, want, tree_watch, needs_collection) = (None, None, None, true);
        let (started, repairs, warnings) = (Instant::now(), RepairBackoff::default(), Vec::new());
        Self {
            options,
            folder,
            report,
            link,
            objects,
            shutdown,
            judged,
            want,
            tree_watch,
            needs_collection,
            started,
            repairs,
            warnings,
        }
    }

    /// Resumes the work of an earlier process, which may have accepted a record and not applied it to the end.
    pub(crate) fn resume(&mut self) {
        // A crash may have come between the switch and writing `state.json`, so the symlink decides.
        if let Ok(Some(running)) = self.folder.running() {
            self.folder.note_running(running);
        }
        if let Some(floor) = self.folder.state().floor {
            match self.folder.record(floor) {
                Ok(record) => self.want = Some(Arc::new(record)),
                Err(error) => {
                    tracing::warn!(error = error.with_sources(), "the accepted record can't be read; waiting for NATS")
                }
            }
        }
        self.warnings = self.folder.state().warnings.clone();
        self.report.resume(self.folder.attempt().cloned(), self.folder.state().floor);
        self.update_report();
    }

    /// Stores the outcome of the last attempt, for `edge status`. The same outcome again is not written again.
    pub(crate) fn note_attempt(&mut self) {
        let Some(ended) = self.report.ended().cloned() else { return };
        let known = self.folder.state().attempt.clone().filter(|known| is_same(known, &ended));
        self.folder.record_attempt(&known.unwrap_or(ended));
    }

    /// What the plan depends on. With `--on-drift report` a symlink that was changed by hand is not repaired either.
    pub(crate) fn have(&self) -> Result<ActualState, ApplyError> {
        let have = self.folder.have(self.options.check.is_some(), self.options.apply.is_some())?;
        let running = match self.options.on_drift {
            OnDrift::Repair => have.running,
            OnDrift::Report => self.folder.state().running,
        };
        Ok(ActualState { running, ..have })
    }

    /// The pinned key; before one is pinned, the only key that NATS holds.
    pub(crate) async fn trusted_key(&self) -> Result<PinnedKey, ApplyError> {
        if let Some(key) = &self.folder.state().key {
            return Ok(key.clone());
        }
        let key = published_keys::only_key(&self.link, &self.options.nats.nats_prefix).await?;
        tracing::warn!(key = key.hex(), "trusting the key in NATS on first use, as no --trust was given");
        Ok(key)
    }

    /// Accepts a record: stores it and raises the floor. The first accepted record pins its key and its log.
    pub(crate) fn accept(&mut self, want: Desired, bytes: &[u8], key: PinnedKey) -> Result<(), ApplyError> {
        let record_ref = want.record_ref();
        let NodeState { floor, running, .. } = *self.folder.state();
        self.needs_collection = true;
        self.folder.store_record(record_ref, bytes)?;
        self.folder.update_state(|state| {
            (state.key, state.log_id, state.floor) = (Some(key), Some(want.log_id), Some(record_ref));
        })?;
        log_skipped(floor, running, record_ref);
        telemetry::request(want.cause.command_id)
            .in_scope(|| tracing::debug!(position = %record_ref.position, "desired record accepted"));
        failpoints::APPLY_ACCEPTED.reached();
        self.want = Some(Arc::new(want));
        self.report.accept();
        self.update_report();
        Ok(())
    }

    /// Adds the accepted record to the report as a proof that the log had this position, since NATS holds nothing as new.
    pub(crate) fn add_proof(&mut self) {
        let proof = self.folder.state().floor.and_then(|floor| self.folder.signed(floor));
        if proof.is_some() {
            self.report.set_proof(proof);
        }
    }

    /// Fetches the contents of a record of this log that are not in the cache.
    pub(crate) async fn fetch(&self, log_id: LogId, contents: &[FetchedContent]) -> Result<(), ApplyError> {
        let missing = fetch::missing(self.folder.layout(), contents)?;
        if missing.is_empty() {
            return Ok(());
        }
        if !self.link.is_up() {
            return Err(ApplyError::NatsUnreachable(self.link.unreachable_reason()));
        }
        tokio::select! {
            fetched = fetch::fetch(&self.objects, self.folder.layout(), log_id, missing) => fetched,
            () = self.shutdown.cancelled() => Err(ApplyError::ShuttingDown),
        }
    }

    /// Writes the generation of `want`; `current` does not change.
    pub(crate) async fn write(&mut self, want: &Arc<Desired>) -> Result<(), ApplyError> {
        // The write may replace the generation that is watched.
        self.tree_watch.take().into_iter().for_each(TreeWatch::end);
        let want = want.clone();
        self.on_disk(move |layout| tree::write(layout, &want)).await
    }

    /// Runs the operator's check on a copy of the tree. The generation itself is written afterwards from the record, so nothing
    /// that the check or its processes did to the copy can come into force.
    pub(crate) async fn check(&mut self, want: &Arc<Desired>) -> Result<(), ApplyError> {
        let Some(hook) = self.options.hook(HookPhase::Check) else { return Ok(()) };
        let (record_ref, copied) = (want.record_ref(), want.clone());
        let copy = self.on_disk(move |layout| tree::write_copy(layout, &copied)).await?;
        self.report.set_attempt(record_ref, AttemptState::Checking);
        let answer = self.run_hook(&hook, &copy, record_ref).await;
        let (copied, looked_at) = (want.clone(), copy.clone());
        let changed = self.on_disk(move |_| tree::differences(&looked_at, &copied)).await;
        self.on_disk(|layout| {
            tree::remove_copies(layout);
            Ok(())
        })
        .await?;
        answer?;
        // A copy that can't be read any more was changed, too.
        let changed = changed.unwrap_or_else(|error| vec![error.with_sources()]);
        if !changed.is_empty() {
            let detail = format!(
                "the --check command changed its copy of the tree: {}. What runs was written without that, as it was \
                 signed; have the check write elsewhere",
                list_places(&changed)
            );
            tracing::warn!(position = %record_ref.position, detail, "the check changed its copy of the tree");
            let code = CHECK_CHANGED_TREE.to_owned();
            self.warnings = vec![ReportWarning { code, detail: truncate_text(&detail, DETAIL_BYTES_MAX) }];
        }
        Ok(())
    }

    /// Puts the generation of `record_ref` in force.
    pub(crate) async fn switch(&mut self, record_ref: RecordRef) -> Result<(), ApplyError> {
        self.folder.keep_lock()?;
        self.on_disk(move |layout| switch::switch(layout, record_ref)).await?;
        self.folder.note_running(record_ref);
        Ok(())
    }

    /// Runs the operator's apply hook, if there is one.
    pub(crate) async fn run_apply_hook(&self, record_ref: RecordRef) -> Result<(), ApplyError> {
        let Some(hook) = self.options.hook(HookPhase::Apply) else { return Ok(()) };
        self.run_hook(&hook, &self.folder.layout().generation(record_ref), record_ref).await
    }

    async fn run_hook(&self, hook: &Hook, tree: &Path, record_ref: RecordRef) -> Result<(), ApplyError> {
        tokio::select! {
            answer = hook.run(tree, record_ref) => answer,
            () = self.shutdown.cancelled() => Err(ApplyError::ShuttingDown),
        }
    }

    /// The hook succeeded: only now the generation becomes the one to go back to.
    pub(crate) async fn mark_good(&mut self, record_ref: RecordRef) -> Result<(), ApplyError> {
        let warnings = self.warnings.clone();
        self.folder.update_state(|state| {
            state.last_good = Some(record_ref);
            state.warnings = warnings;
            state.clear_rejection(record_ref.digest);
        })?;
        self.update_report();
        // It was just written, so it has no drift.
        self.report.set_drift(&[]);
        self.report.set_attempt(record_ref, AttemptState::Applied);
        Ok(())
    }

    /// Collects garbage once after each accepted record, whatever became of it.
    pub(crate) async fn collect_if_needed(&mut self) {
        if std::mem::take(&mut self.needs_collection) {
            self.collect(KEEP).await;
        }
    }

    /// Removes old generations, records and contents. A file that can't be removed is tried again the next time.
    pub(crate) async fn collect(&self, keep: usize) {
        let state = self.folder.state();
        let needed: Vec<RecordRef> = [state.floor, state.running, state.last_good].into_iter().flatten().collect();
        if let Err(error) = self.on_disk(move |layout| collect::collect(layout, &needed, keep)).await {
            tracing::warn!(error = error.with_sources(), "garbage collection failed");
        }
    }

    /// The operator's check or hook rejected `want`: store that first, then go back to the last good generation.
    pub(crate) async fn reject(
        &mut self,
        want: &Desired,
        code: &'static str,
        detail: String,
    ) -> Result<(), ApplyError> {
        let (record_ref, retry, at) = (want.record_ref(), want.retry, system_time());
        let RecordRef { position, digest } = record_ref;
        self.folder.update_state(|state| {
            state.reject(RejectedDigest { position, digest, retry, code: code.to_owned(), detail, at });
        })?;
        if self.folder.running()? == Some(record_ref) {
            self.restore(record_ref).await?;
        }
        self.update_report();
        self.report_rejected(record_ref);
        Ok(())
    }

    /// Puts the last good generation in force again, or none if there is none.
    pub(crate) async fn restore(&mut self, bad: RecordRef) -> Result<(), ApplyError> {
        let good = self.folder.state().last_good.filter(|good| self.folder.layout().generation(*good).is_dir());
        let Some(good) = good else {
            self.on_disk(switch::clear).await?;
            return self.folder.update_state(|state| state.running = None);
        };
        tracing::warn!(from = %bad.position, to = %good.position, "going back to the last good generation");
        self.rewrite_if_changed(good).await;
        self.switch(good).await?;
        match self.run_apply_hook(good).await {
            Err(ApplyError::ShuttingDown) => Err(ApplyError::ShuttingDown),
            // The generation was good before, and there is nothing else to go back to.
            Err(error) => {
                tracing::error!(error = error.with_sources(), "the apply hook fails on the last good generation");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Reports again that the digest was rejected, and why.
    pub(crate) fn report_rejected(&mut self, record_ref: RecordRef) {
        if let Some(rejected) = self.folder.state().rejection(record_ref.digest) {
            self.report.set_failed(record_ref, &rejected.code, rejected.detail.clone());
        }
    }

    pub(super) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Runs file operations on a blocking thread. They run to their end, also if the agent stops meanwhile.
    pub(super) async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Layout) -> Result<T, ApplyError> + Send + 'static,
    ) -> Result<T, ApplyError> {
        let layout = self.folder.layout().clone();
        run_blocking(move || work(&layout)).await
    }

    /// Copies the state and the running generation into the report.
    pub(crate) fn update_report(&mut self) {
        let running = self.folder.running().unwrap_or_default();
        self.report.set_state(self.folder.state(), running);
    }
}

/// Logs the positions that this node never ran. Most positions of a log concern other nodes.
fn log_skipped(floor: Option<RecordRef>, running: Option<RecordRef>, to: RecordRef) {
    let Some(from) = floor.filter(|floor| floor.position < to.position) else { return };
    let (first, last) = (from.position.next().get(), to.position.previous().get());
    if first <= last {
        tracing::info!(from = %from.position, to = %to.position, first, last, "newer desired record; positions in between are skipped");
    }
    if running.is_none_or(|running| running.digest != from.digest) {
        tracing::info!(skipped = %from.position, to = %to.position, "accepted record skipped before it ran");
    }
}
