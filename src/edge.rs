//! The agent of a node, as one order of touches: load, connect, watch; then verify, plan, fetch, write, check, switch, settle,
//! and say what runs.
//!
//! What always holds: what is on disk stays in force until something newer is whole; every turn begins from what is on disk,
//! so a turn that was cut off anywhere is simply made again; only the operator's no is final.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use projections::plan::{Content, Step, plan, repair};
use schema::desired::Desired;
use schema::report::{AttemptState, Mark};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::nats::connect::{BadAddress, Link, connect};
use crate::nats::objects::Objects;
use crate::node::backoff::Backoff;
use crate::node::fault::Fault;
use crate::node::hook::{Hook, Moment};
use crate::node::layout::Layout;
use crate::node::options::OnDrift;
pub use crate::node::options::Options;
use crate::node::state::{PinnedKey, Rejected};
use crate::node::status::Status;
use crate::node::store::{OpenError, Store};
use crate::node::{collect, fetch, keys, report, switch, tree, verify, watch as records};

/// How often the tree in force is compared with its record although nothing happened: drift is put right within 30 s.
const COMPARE_EVERY: Duration = Duration::from_secs(15);

/// Why an agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its folder can't be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// NATS has no such address.
    #[error(transparent)]
    Address(#[from] BadAddress),
}

/// Runs the agent until `shutdown`.
///
/// # Errors
/// Only at the start: once it runs, whatever fails is tried again.
pub async fn run(options: Options, shutdown: CancellationToken) -> Result<(), Error> {
    let mut store = Store::open(&options.dir, &options.node)?;
    if let Some(key) = &options.trust {
        store.trust(key)?;
    }
    let (prefix, node) = (options.nats_prefix.clone(), options.node.clone());
    let link = connect(&options.nats_url, &format!("headwater-edge {node}")).await?;
    let (status, news, told) = Status::of(report::blank(node.clone()));
    let (found, mut newest) = watch::channel(None);
    let _watching = AbortOnDropHandle::new(tokio::spawn(records::follow(link.clone(), prefix.clone(), node, found)));
    let _telling = AbortOnDropHandle::new(tokio::spawn(report::tell(link.clone(), prefix.clone(), news, told)));

    let objects = Objects::of(&link.jetstream(), &prefix).await;
    let (check, apply) = (options.hook(Moment::Check), options.hook(Moment::Apply));
    let (mut ups, mut backoff) = (link.ups(), Backoff::default());
    let (judged, want) = (None, None);
    let mut agent = Agent { options, store, link, objects, status, check, apply, judged, want, shutdown };
    agent.resume();
    while !agent.shutdown.is_cancelled() {
        ups.mark_unchanged();
        let record = newest.borrow_and_update().clone();
        let pause = match agent.turn(record).await {
            Ok(()) => {
                backoff.reset();
                COMPARE_EVERY
            }
            Err(fault) => {
                tracing::debug!(code = fault.code(), "trying again");
                backoff.failed()
            }
        };
        tokio::select! {
            () = agent.shutdown.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
            _ = newest.changed() => {}
            _ = ups.changed() => {}
        }
    }
    Ok(())
}

struct Agent {
    options: Options,
    store: Store,
    link: Link,
    objects: Objects,
    status: Status,
    check: Option<Hook>,
    apply: Option<Hook>,
    /// The newest bytes that need no second look.
    judged: Option<Bytes>,
    /// The newest record that was accepted.
    want: Option<Arc<Desired>>,
    shutdown: CancellationToken,
}

impl Agent {
    /// Takes up what a former agent left: it may have accepted a record and not come to its end.
    fn resume(&mut self) {
        match self.store.running() {
            // A kill came between the switch and the memory of it.
            Ok(Some(mark)) if self.store.state().running != Some(mark) => {
                let remembered = self.store.remember(|state| state.running = Some(mark));
                remembered.unwrap_or_else(|fault| tracing::warn!(fault = fault.story(), "can't remember what runs"));
            }
            _ => {}
        }
        if let Some(floor) = self.store.state().floor {
            match self.record_of(floor) {
                Ok(record) => self.want = Some(Arc::new(record)),
                Err(fault) => tracing::warn!(fault = fault.story(), "waiting for NATS to say what is wanted"),
            }
        }
        self.hold();
    }

    /// One turn, from what NATS said last to what runs.
    async fn turn(&mut self, newest: Option<Bytes>) -> Result<(), Fault> {
        let judged = match newest.filter(|bytes| self.judged.as_ref() != Some(bytes)) {
            Some(bytes) => self.judge(bytes).await,
            None => Ok(()),
        };
        let pursued = match self.want.clone() {
            Some(want) => self.pursue(&want).await,
            None => Ok(()),
        };
        let mended = self.mend().await;
        self.hold();
        judged.and(pursued).and(mended)
    }

    /// Verifies a record, and accepts it or refuses it.
    async fn judge(&mut self, bytes: Bytes) -> Result<(), Fault> {
        let key = match self.trusted_key().await {
            Ok(key) => key,
            Err(fault) => {
                self.status.fail(verify::claimed(&bytes), &fault);
                return Err(fault);
            }
        };
        let have = self.store.have(false, false)?;
        let judgement = match verify::open(&bytes, &key.0) {
            Ok(want) => match plan(&have, &want) {
                Ok(_) => Ok(want),
                Err(refusal) => Err((refusal.code(), refusal.to_string())),
            },
            Err(unverified) => Err((unverified.code(), unverified.to_string())),
        };
        match judgement {
            Ok(want) => {
                self.accept(&want, &bytes, key)?;
                self.want = Some(Arc::new(want));
            }
            Err((code, detail)) => self.status.refuse(verify::claimed(&bytes), code, detail),
        }
        // As long as no key is pinned, another look may find another key.
        self.judged = self.store.state().key.is_some().then_some(bytes);
        Ok(())
    }

    /// Raises the floor. The first record that is accepted pins its key and its log.
    fn accept(&mut self, want: &Desired, bytes: &[u8], key: PinnedKey) -> Result<(), Fault> {
        let mark = mark(want);
        if let Some(floor) = self.store.state().floor.filter(|floor| floor.position < mark.position) {
            tracing::info!(from = %floor.position, to = %mark.position, "newer record; whatever lies between is skipped");
        }
        self.store.keep_record(mark, bytes)?;
        self.store.remember(|state| {
            (state.key, state.log_id, state.floor) = (Some(key), Some(want.log_id), Some(mark));
        })?;
        self.status.accept();
        self.hold();
        Ok(())
    }

    /// The pinned key, or on the first day the only one that the centre has.
    async fn trusted_key(&self) -> Result<PinnedKey, Fault> {
        if let Some(key) = &self.store.state().key {
            return Ok(key.clone());
        }
        let key = keys::only_key(&self.link, &self.options.nats_prefix).await?;
        tracing::warn!(key = key.hex(), "no --trust was given: trusting the key that NATS has, on first use");
        Ok(key)
    }

    /// Does what is still to be done for the record that was accepted.
    async fn pursue(&mut self, want: &Arc<Desired>) -> Result<(), Fault> {
        let have = self.store.have(self.check.is_some(), self.apply.is_some())?;
        let steps = plan(&have, want).map_err(|refusal| Fault::Record(refusal.to_string()))?;
        let mark = mark(want);
        match self.follow(&steps, want).await {
            Ok(()) if steps.is_empty() => self.status.reach(mark, AttemptState::Applied),
            Ok(()) => {}
            Err(Fault::Rejected { code, said }) => self.reject(want, code, said).await?,
            Err(Fault::Ending) => return Err(Fault::Ending),
            Err(fault) => {
                self.status.fail(mark, &fault);
                return Err(fault);
            }
        }
        Ok(())
    }

    /// The steps of a plan, in order. Between any two of them the agent may be killed.
    async fn follow(&mut self, steps: &[Step], want: &Arc<Desired>) -> Result<(), Fault> {
        let mark = mark(want);
        for step in steps {
            if self.shutdown.is_cancelled() {
                return Err(Fault::Ending);
            }
            match step {
                // `accept` has done it, or there is nothing to remember of a repair.
                Step::Accept => {}
                Step::Restore => self.restore(mark).await?,
                Step::LeaveRejected => self.leave_rejected(mark),
                Step::Fetch(contents) => {
                    self.status.reach(mark, AttemptState::Fetching);
                    self.fetch(contents).await?;
                }
                Step::Write => {
                    self.status.reach(mark, AttemptState::Verified);
                    let want = want.clone();
                    self.on_disk(move |layout| tree::write(layout, &want)).await?;
                }
                Step::Check => {
                    self.status.reach(mark, AttemptState::Checking);
                    self.ask(self.check.as_ref(), mark).await?;
                }
                Step::Switch => {
                    self.status.reach(mark, AttemptState::Applying);
                    self.switch(mark).await?;
                }
                Step::Hook => self.ask(self.apply.as_ref(), mark).await?,
                Step::Settle => self.settle(mark).await?,
            }
        }
        Ok(())
    }

    async fn fetch(&self, contents: &[Content]) -> Result<(), Fault> {
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

    async fn switch(&mut self, mark: Mark) -> Result<(), Fault> {
        self.on_disk(move |layout| switch::switch(layout, mark)).await?;
        self.store.remember(|state| state.running = Some(mark))
    }

    /// It works: only now is it what one goes back to.
    async fn settle(&mut self, mark: Mark) -> Result<(), Fault> {
        self.store.remember(|state| {
            state.last_good = Some(mark);
            state.forgive(mark.digest);
        })?;
        self.hold();
        self.status.reach(mark, AttemptState::Applied);
        let needed: Vec<Mark> = [self.store.state().floor, Some(mark)].into_iter().flatten().collect();
        self.on_disk(move |layout| collect::collect(layout, &needed)).await
    }

    /// Asks the operator's command about a tree.
    async fn ask(&self, hook: Option<&Hook>, mark: Mark) -> Result<(), Fault> {
        let Some(hook) = hook else { return Ok(()) };
        let tree = self.store.layout().generation(mark);
        tokio::select! {
            answer = hook.run(&tree, mark) => answer,
            () = self.shutdown.cancelled() => Err(Fault::Ending),
        }
    }

    /// The operator said no: remember it first, then put the last good tree back in force.
    async fn reject(&mut self, want: &Desired, code: &'static str, detail: String) -> Result<(), Fault> {
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
    async fn restore(&mut self, bad: Mark) -> Result<(), Fault> {
        let good = self.store.state().last_good.filter(|good| self.store.layout().generation(*good).is_dir());
        let Some(good) = good else {
            self.on_disk(switch::clear).await?;
            return self.store.remember(|state| state.running = None);
        };
        tracing::warn!(from = %bad.position, to = %good.position, "going back to what was last good");
        self.switch(good).await?;
        match self.ask(self.apply.as_ref(), good).await {
            Err(Fault::Ending) => Err(Fault::Ending),
            // It was good before, and there is nothing else to go back to.
            Err(fault) => {
                tracing::error!(fault = fault.story(), "the hook fails on what was last good");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn leave_rejected(&mut self, mark: Mark) {
        if let Some(rejected) = self.store.state().rejection(mark.digest) {
            self.status.fail_with(mark, AttemptState::Failed, &rejected.code, rejected.detail.clone());
        }
    }

    /// Compares what is in force, and was good, with its record; puts it right if somebody changed it.
    async fn mend(&mut self) -> Result<(), Fault> {
        let state = self.store.state();
        let Some(mark) = state.running.filter(|running| state.last_good == Some(*running)) else { return Ok(()) };
        let record = Arc::new(self.record_of(mark)?);
        let drift = if self.store.running()? == Some(mark) {
            let record = record.clone();
            self.on_disk(move |layout| tree::differences(layout, mark, &record)).await?
        } else {
            vec!["current".to_owned()]
        };
        self.status.drift(&drift);
        if drift.is_empty() {
            return Ok(());
        }
        tracing::warn!(paths = ?drift, "what runs was changed by hand");
        // It is to be seen before it is gone.
        self.status.told().await;
        if self.options.on_drift == OnDrift::Repair {
            let have = self.store.have(self.check.is_some(), self.apply.is_some())?;
            let steps = repair(&have, &record).map_err(|refusal| Fault::Record(refusal.to_string()))?;
            self.follow(&steps, &record).await.inspect_err(|fault| self.status.fail(mark, fault))?;
            self.status.drift(&[]);
            // The repair is not what was tried last.
            if let Some(want) = &self.want {
                self.leave_rejected(self::mark(want));
            }
        }
        Ok(())
    }

    /// The record on disk that a generation was made from. It is believed as little as one from NATS.
    fn record_of(&self, mark: Mark) -> Result<Desired, Fault> {
        let key = self.store.state().key.as_ref().ok_or_else(|| Fault::NoTrustedKey("none is pinned".to_owned()))?;
        let bytes = self.store.record(mark)?.ok_or_else(|| Fault::Record("it is gone".to_owned()))?;
        let record = verify::open(&bytes, &key.0).map_err(|unverified| Fault::Record(unverified.to_string()))?;
        if self::mark(&record) == mark { Ok(record) } else { Err(Fault::Record("it is another".to_owned())) }
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
    fn hold(&mut self) {
        let running = self.store.running().unwrap_or_default();
        self.status.hold(self.store.state(), running);
    }
}

fn mark(record: &Desired) -> Mark {
    Mark { position: record.position, digest: record.digest }
}
