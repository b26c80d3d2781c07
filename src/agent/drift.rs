//! The verbs of an agent about the tree in force: whether it is as it was signed, and how often it was put right.

use std::sync::Arc;

use schema::desired::Desired;
use schema::report::RecordRef;

use crate::actions::Agent;
use crate::apply_error::ApplyError;
use crate::inotify_watch::TreeWatch;
use crate::tree;

impl Agent {
    /// The link, if somebody else than the agent changed what it points to, or removed that.
    pub(crate) fn relinked(&self) -> Result<Vec<String>, ApplyError> {
        let is_relinked = self.store.state().is_relinked(self.store.running()?);
        Ok(if is_relinked { vec!["current".to_owned()] } else { Vec::new() })
    }

    /// Whether the tree of `mark`, which differs in `places`, may be put right now. If it was put right too often lately, that is
    /// a failure, and a repair waits.
    pub(crate) fn may_repair(&mut self, mark: RecordRef, places: &[String]) -> bool {
        let may = self.repairs.may(self.age());
        if self.repairs.wait() {
            let (places, hooks) = (places.to_vec(), self.options.apply.is_some());
            self.status.fail_to_repair(mark, &ApplyError::DriftReturns { places, hooks });
        }
        may
    }

    /// The tree was put right.
    pub(crate) fn note_repair(&mut self) {
        self.repairs.made(self.age());
        if !self.repairs.wait() {
            self.status.repaired();
        }
    }

    /// The tree is as it was signed.
    pub(crate) fn note_order(&mut self) {
        if self.repairs.rest(self.age()) {
            self.status.repaired();
        }
    }

    /// What below the generation of `mark` differs from its `record`.
    pub(crate) async fn drift(&self, mark: RecordRef, record: &Arc<Desired>) -> Result<Vec<String>, ApplyError> {
        let record = record.clone();
        self.on_disk(move |layout| tree::differences(&layout.generation(mark), &record)).await
    }

    /// Watches what runs now.
    pub(crate) fn keep_watch(&mut self) {
        let running = self.store.state().running;
        if self.notice.as_ref().map(|notice| notice.mark) != running {
            let notice = running.map(|mark| TreeWatch::of(self.store.layout(), mark)).transpose();
            let notice = notice.unwrap_or_else(|error| {
                tracing::debug!(%error, "no inotify: what is touched is found a little later");
                None
            });
            std::mem::replace(&mut self.notice, notice).into_iter().for_each(TreeWatch::end);
        }
    }

    /// Waits until what runs is touched. Where it is told that a repair waits, nothing would follow from it.
    pub(crate) async fn touched(&mut self) {
        match &mut self.notice {
            Some(notice) if !self.status.waits_for_repair() => notice.touched().await,
            _ => std::future::pending().await,
        }
    }

    /// Writes a generation anew that was changed while it was not in force. One that can't be compared or written stays: going
    /// back to it is better than to stay with what was rejected, and it is compared again once it is in force.
    pub(super) async fn renew(&mut self, good: RecordRef) {
        let Ok(record) = self.store.record(good).map(Arc::new) else { return };
        let differs = self.drift(good, &record).await.is_ok_and(|places| !places.is_empty());
        if differs && let Err(fault) = self.write(&record).await {
            tracing::warn!(fault = fault.with_sources(), "what was last good was changed, and can't be written anew");
        }
    }
}
