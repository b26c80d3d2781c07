//! The actions of an agent about drift: whether the tree in force is as its record says, and when it may be repaired.

use std::sync::Arc;
use std::time::Duration;

use projections::plan::repair;
use schema::desired::Desired;
use schema::report::RecordRef;

use crate::actions::Agent;
use crate::apply_error::ApplyError;
use crate::inotify_watch::TreeWatch;
use crate::options::OnDrift;
use crate::tree;

/// How long a report of drift stays in NATS at least before the repair replaces it.
const DRIFT_SHOWN_FOR: Duration = Duration::from_millis(100);

impl Agent {
    /// Compares the generation in force with its record, if it is good, and repairs drift.
    pub(crate) async fn repair_drift(&mut self) -> Result<(), ApplyError> {
        let state = self.folder.state();
        let Some(running) = state.running.filter(|running| state.last_good == Some(*running)) else { return Ok(()) };
        let compared = self.compare(running).await;
        match &compared {
            Ok(()) | Err(ApplyError::ShuttingDown) => {}
            Err(error) => self.report.repair_failed(running, error),
        }
        compared
    }

    /// Compares the tree in force with its record, and repairs it unless `--on-drift report`.
    async fn compare(&mut self, running: RecordRef) -> Result<(), ApplyError> {
        // Equal digests are equal trees, so the wanted record can replace a lost one.
        let equal = self.want.clone().filter(|want| want.digest == running.digest);
        let record = match (self.folder.record(running), equal) {
            (Err(ApplyError::DamagedRecord(_)), Some(equal)) => equal,
            // The generation in force may have come from the log before this one.
            (Ok(record), Some(equal)) if record.log_id != equal.log_id => equal,
            (record, _) => Arc::new(record?),
        };
        let link = self.relinked()?;
        let drift = if link.is_empty() { self.drift(running, &record).await? } else { link };
        self.report_drift(&drift).await;
        if drift.is_empty() {
            self.note_no_drift();
            return Ok(());
        }
        if self.options.on_drift == OnDrift::Report {
            // The comparison works again; the difference itself is reported as drift.
            self.report.repaired();
            return Ok(());
        }
        if !self.may_repair(running, &drift) {
            return Ok(());
        }
        let steps = repair(&self.have()?, &record).map_err(|refusal| ApplyError::DamagedRecord(refusal.to_string()))?;
        let repaired = self.take_steps(&steps, &record).await;
        self.update_watch();
        // The report shows the wanted record as the last attempt, not the repaired one.
        if let Some(want) = self.want.clone() {
            self.report_rejected(want.record_ref());
        }
        repaired?;
        self.note_repair();
        Ok(())
    }

    /// Reports drift and waits a moment: NATS keeps the newest report only, so a repair at once would hide it from readers.
    pub(crate) async fn report_drift(&mut self, paths: &[String]) {
        self.report.set_drift(paths);
        if !paths.is_empty() {
            tracing::warn!(?paths, "the tree in force differs from its record");
            if self.report.published().await {
                tokio::time::sleep(DRIFT_SHOWN_FOR).await;
            }
        }
    }

    /// `current`, if another program than the agent changed its target or removed it; else empty.
    pub(crate) fn relinked(&self) -> Result<Vec<String>, ApplyError> {
        let is_relinked = self.folder.state().is_relinked(self.folder.running()?);
        Ok(if is_relinked { vec!["current".to_owned()] } else { Vec::new() })
    }

    /// Whether the tree of `record_ref`, which differs in `places`, may be repaired now. After too many repairs that is reported as a
    /// failure, and the next repair waits.
    pub(crate) fn may_repair(&mut self, record_ref: RecordRef, places: &[String]) -> bool {
        let may_repair = self.repairs.may_repair(self.uptime());
        if self.repairs.is_waiting() {
            let (places, hooks) = (places.to_vec(), self.options.apply.is_some());
            self.report.repair_failed(record_ref, &ApplyError::DriftReturns { places, hooks });
        }
        may_repair
    }

    /// The tree was repaired.
    pub(crate) fn note_repair(&mut self) {
        self.repairs.note_repair(self.uptime());
        if !self.repairs.is_waiting() {
            self.report.repaired();
        }
    }

    /// The tree is as its record says.
    pub(crate) fn note_no_drift(&mut self) {
        if self.repairs.note_no_drift(self.uptime()) {
            self.report.repaired();
        }
    }

    /// The places in the generation of `record_ref` that differ from its `record`.
    pub(crate) async fn drift(&self, record_ref: RecordRef, record: &Arc<Desired>) -> Result<Vec<String>, ApplyError> {
        let record = record.clone();
        self.on_disk(move |layout| tree::differences(&layout.generation(record_ref), &record)).await
    }

    /// Watches the generation in force, if it is not watched yet.
    pub(crate) fn update_watch(&mut self) {
        let running = self.folder.state().running;
        if self.tree_watch.as_ref().map(|watch| watch.record_ref) != running {
            let watch = running.map(|record_ref| TreeWatch::of(self.folder.layout(), record_ref)).transpose();
            let watch = watch.unwrap_or_else(|error| {
                tracing::debug!(%error, "no inotify; drift is found by the next full comparison");
                None
            });
            std::mem::replace(&mut self.tree_watch, watch).into_iter().for_each(TreeWatch::end);
        }
    }

    /// Waits until something in the tree in force changes. While a repair waits for its back-off, an event would change nothing.
    pub(crate) async fn tree_changed(&mut self) {
        match &mut self.tree_watch {
            Some(watch) if !self.report.is_repair_waiting() => watch.changed().await,
            _ => std::future::pending().await,
        }
    }

    /// Writes a generation again if it was changed while it was not in force. If that fails, the agent goes back to it all the
    /// same: it is better than a rejected one, and is compared again once it is in force.
    pub(super) async fn rewrite_if_changed(&mut self, good: RecordRef) {
        let Ok(record) = self.folder.record(good).map(Arc::new) else { return };
        let differs = self.drift(good, &record).await.is_ok_and(|places| !places.is_empty());
        if differs && let Err(error) = self.write(&record).await {
            tracing::warn!(
                error = error.with_sources(),
                "the last good generation was changed and can't be written again"
            );
        }
    }
}
