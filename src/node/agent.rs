//! The verbs of an agent: each does one thing to the folder, or asks one thing of NATS, and may be done again.
//!
//! Absent on purpose: their order, which `src/edge.rs` has.

use std::sync::Arc;

use bytes::Bytes;
use projections::plan::{Content, Have};
use schema::desired::Desired;
use schema::report::{AttemptState, Mark};
use tokio_util::sync::CancellationToken;

use crate::nats::connect::Link;
use crate::nats::objects::Objects;
use crate::node::fault::Fault;
use crate::node::hook::Moment;
use crate::node::layout::Layout;
use crate::node::notice::Notice;
use crate::node::options::{OnDrift, Options};
use crate::node::state::{PinnedKey, Rejected, State};
use crate::node::status::{Status, is_same};
use crate::node::store::Store;
use crate::node::{collect, fetch, keys, report, switch, tree};
use crate::{points, telemetry};

/// Generations that are kept, besides those that must be.
const KEEP: usize = 3;

/// The agent of one node.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) options: Options,
    pub(crate) store: Store,
    pub(crate) status: Status,
    pub(crate) link: Link,
    pub(crate) objects: Objects,
    pub(crate) shutdown: CancellationToken,
    /// The newest bytes that need no second look.
    pub(crate) judged: Option<Bytes>,
    /// The newest record that was accepted.
    pub(crate) want: Option<Arc<Desired>>,
    /// Tells when what runs is touched.
    pub(crate) notice: Option<Notice>,
    /// Whether there may be something to collect.
    pub(crate) is_untidy: bool,
}

impl Agent {
    /// Takes up what a former agent left: it may have accepted a record and not come to its end.
    pub(crate) fn resume(&mut self) {
        // A kill may have come between a switch and the memory of it: the link is the truth.
        if let Ok(Some(running)) = self.store.running() {
            self.store.note_running(running);
        }
        if let Some(floor) = self.store.state().floor {
            match self.store.record(floor) {
                Ok(record) => self.want = Some(Arc::new(record)),
                Err(fault) => tracing::warn!(fault = fault.story(), "waiting for NATS to say what is wanted"),
            }
        }
        self.status.resume(self.store.state().attempt.clone(), self.store.state().floor);
        self.hold();
    }

    /// Writes down what became of the last attempt, for somebody who looks while no agent runs. One that comes to the same
    /// again and again is written once; a disk that can't take it has more to say than this.
    pub(crate) fn note_attempt(&mut self) {
        let Some(ended) = self.status.ended() else { return };
        if !self.store.state().attempt.as_ref().is_some_and(|known| is_same(known, ended)) {
            let attempt = Some(ended.clone());
            if let Err(fault) = self.store.remember(|state| state.attempt = attempt) {
                tracing::debug!(fault = fault.story(), "can't write down what became of the attempt");
            }
        }
    }

    /// What the plan must know. An operator who only wants to hear of drift has the link left as it is, too.
    pub(crate) fn have(&self) -> Result<Have, Fault> {
        let have = self.store.have(self.options.check.is_some(), self.options.apply.is_some())?;
        let running = match self.options.on_drift {
            OnDrift::Repair => have.running,
            OnDrift::Report => self.store.state().running,
        };
        Ok(Have { running, ..have })
    }

    /// The pinned key, or on the first day the only one that the centre has.
    pub(crate) async fn trusted_key(&self) -> Result<PinnedKey, Fault> {
        if let Some(key) = &self.store.state().key {
            return Ok(key.clone());
        }
        let key = keys::only_key(&self.link, &self.options.nats_prefix).await?;
        tracing::warn!(key = key.hex(), "no --trust was given: trusting the key that NATS has, on first use");
        Ok(key)
    }

    /// Raises the floor. The first record that is accepted pins its key and its log.
    pub(crate) fn accept(&mut self, want: Desired, bytes: &[u8], key: PinnedKey) -> Result<(), Fault> {
        let mark = mark(&want);
        self.tell_skipped(mark);
        self.is_untidy = true;
        self.store.keep_record(mark, bytes)?;
        self.store.remember(|state| {
            (state.key, state.log_id, state.floor) = (Some(key), Some(want.log_id), Some(mark));
        })?;
        telemetry::request(want.cause.command_id).in_scope(|| tracing::debug!(position = %mark.position, "accepted"));
        points::APPLY_ACCEPTED.reached();
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

    /// Says which versions this node never had. A version is a position of the log, most of which concern other nodes.
    fn tell_skipped(&self, to: Mark) {
        let State { floor, running, .. } = self.store.state();
        let Some(from) = floor.filter(|floor| floor.position < to.position) else { return };
        let (first, last) = (from.position.get() + 1, to.position.get() - 1);
        if first <= last {
            tracing::info!(from = %from.position, to = %to.position, "newer record; versions {first} to {last} are skipped");
        }
        if running.is_none_or(|running| running.digest != from.digest) {
            tracing::info!(to = %to.position, "version {} was seen, and is skipped without having come to run", from.position);
        }
    }

    /// Has content in the cache.
    pub(crate) async fn fetch(&self, contents: &[Content]) -> Result<(), Fault> {
        let missing = fetch::missing(self.store.layout(), contents)?;
        if missing.is_empty() {
            return Ok(());
        }
        if !self.link.is_up() {
            return Err(Fault::Unreachable);
        }
        tokio::select! {
            fetched = fetch::fetch(&self.objects, self.store.layout(), missing) => fetched,
            () = self.shutdown.cancelled() => Err(Fault::Ending),
        }
    }

    /// Writes a generation beside what runs.
    pub(crate) async fn write(&mut self, want: &Arc<Desired>) -> Result<(), Fault> {
        // What is watched may give way to what is written.
        self.notice.take().into_iter().for_each(Notice::end);
        let want = want.clone();
        self.on_disk(move |layout| tree::write(layout, &want)).await
    }

    /// Puts a generation in force.
    pub(crate) async fn switch(&mut self, mark: Mark) -> Result<(), Fault> {
        self.on_disk(move |layout| switch::switch(layout, mark)).await?;
        self.store.note_running(mark);
        Ok(())
    }

    /// Asks the operator's command about a tree, if there is one.
    pub(crate) async fn ask(&self, moment: Moment, mark: Mark) -> Result<(), Fault> {
        let Some(hook) = self.options.hook(moment) else { return Ok(()) };
        let tree = self.store.layout().generation(mark);
        tokio::select! {
            answer = hook.run(&tree, mark) => answer,
            () = self.shutdown.cancelled() => Err(Fault::Ending),
        }
    }

    /// It works: only now is it what one goes back to.
    pub(crate) async fn settle(&mut self, mark: Mark) -> Result<(), Fault> {
        self.store.remember(|state| {
            state.last_good = Some(mark);
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
        let needed: Vec<Mark> = [state.floor, state.running, state.last_good].into_iter().flatten().collect();
        if let Err(fault) = self.on_disk(move |layout| collect::collect(layout, &needed, keep)).await {
            tracing::warn!(fault = fault.story(), "can't remove what is old");
        }
    }

    /// The operator said no: remember it first, then put the last good tree back in force.
    pub(crate) async fn reject(&mut self, want: &Desired, code: &'static str, detail: String) -> Result<(), Fault> {
        let (mark, retry, at) = (mark(want), want.retry, report::now());
        let Mark { position, digest } = mark;
        self.store.remember(|state| {
            state.reject(Rejected { position, digest, retry, code: code.to_owned(), detail, at });
        })?;
        if self.store.running()? == Some(mark) {
            self.restore(mark).await?;
        }
        self.hold();
        self.leave_rejected(mark);
        Ok(())
    }

    /// Puts the last good tree back in force, or none if there is none.
    pub(crate) async fn restore(&mut self, bad: Mark) -> Result<(), Fault> {
        let good = self.store.state().last_good.filter(|good| self.store.layout().generation(*good).is_dir());
        let Some(good) = good else {
            self.on_disk(switch::clear).await?;
            return self.store.remember(|state| state.running = None);
        };
        tracing::warn!(from = %bad.position, to = %good.position, "going back to what was last good");
        self.switch(good).await?;
        match self.ask(Moment::Apply, good).await {
            Err(Fault::Ending) => Err(Fault::Ending),
            // It was good before, and there is nothing else to go back to.
            Err(fault) => {
                tracing::error!(fault = fault.story(), "the hook fails on what was last good");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Says again that a digest was rejected, and why.
    pub(crate) fn leave_rejected(&mut self, mark: Mark) {
        if let Some(rejected) = self.store.state().rejection(mark.digest) {
            self.status.fail_with(mark, AttemptState::Failed, &rejected.code, rejected.detail.clone());
        }
    }

    /// Whether somebody else than the agent changed what `current` points to.
    pub(crate) fn is_relinked(&self) -> Result<bool, Fault> {
        Ok(self.store.state().is_relinked(self.store.running()?))
    }

    /// What below `current` differs from `record`, whose tree is in force as `running`.
    pub(crate) async fn drift(&self, running: Mark, record: &Arc<Desired>) -> Result<Vec<String>, Fault> {
        if self.is_relinked()? {
            return Ok(vec!["current".to_owned()]);
        }
        let record = record.clone();
        self.on_disk(move |layout| tree::differences(layout, running, &record)).await
    }

    /// Watches what runs now.
    pub(crate) fn keep_watch(&mut self) {
        let running = self.store.state().running;
        if self.notice.as_ref().map(|notice| notice.mark) != running {
            let notice = running.map(|mark| Notice::of(self.store.layout(), mark)).transpose();
            let notice = notice.unwrap_or_else(|error| {
                tracing::debug!(%error, "no inotify: what is touched is found a little later");
                None
            });
            std::mem::replace(&mut self.notice, notice).into_iter().for_each(Notice::end);
        }
    }

    /// Waits until what runs is touched.
    pub(crate) async fn touched(&self) {
        match &self.notice {
            Some(notice) => notice.touched().await,
            None => std::future::pending().await,
        }
    }

    /// Work on files, where it keeps nobody else waiting. It is never cut off in the middle.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Layout) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let layout = self.store.layout().clone();
        match tokio::task::spawn_blocking(move || work(&layout)).await {
            Ok(done) => done,
            Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
            Err(_) => Err(Fault::Ending),
        }
    }

    /// Brings the report up to date with what is remembered and what runs.
    pub(crate) fn hold(&mut self) {
        let running = self.store.running().unwrap_or_default();
        self.status.hold(self.store.state(), running);
    }
}

/// A record as a report names it.
pub(crate) fn mark(record: &Desired) -> Mark {
    Mark { position: record.position, digest: record.digest }
}
