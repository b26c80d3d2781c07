//! The actions of an agent about drift: whether the tree in force is as its record says, and when it may be repaired.

use std::sync::Arc;

use schema::desired::Desired;
use schema::report::RecordRef;

use crate::actions::Agent;
use crate::apply_error::ApplyError;
use crate::inotify_watch::TreeWatch;
use crate::tree;

impl Agent {
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
