//! The agent of a node, as one order of touches: load, connect, watch; then verify, plan, fetch, write, check, switch, settle,
//! and say what runs.
//!
//! What always holds: what is on disk stays in force until something newer is whole; every turn begins from what is on disk,
//! so a turn that was cut off anywhere is simply made again; only the operator's no is final.

use std::sync::Arc;
use std::time::Duration;

use bus::connect::{AddressError, Link, connect_with};
use bus::objects::Objects;
use bytes::Bytes;
use program::backoff::Backoff;
use program::failpoints;
use program::password;
use projections::plan::{Step, plan, repair};
use schema::desired::Desired;
use schema::report::{AttemptState, RecordRef};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::actions::{Agent, mark};
use crate::apply_error::ApplyError;
use crate::node_folder::{NodeFolder, OpenError};
use crate::node_state::PinnedKey;
use crate::options::{OnDrift, Options};
use crate::record_watch::{self as records, NewestRecord};
use crate::report_draft::ReportDraft;
use crate::runtime::job_runtime::JobRuntime;
use crate::runtime::rpc_client::RpcClient;
use crate::runtime::runtime_settings::RuntimeSettings;
use crate::runtime::runtime_state::RuntimeStateError;
use crate::{report, verify};

/// How long what was reported stands at least before it is put right.
const SEEN_FOR: Duration = Duration::from_millis(100);
/// How often the tree in force is compared with its record although nothing was noticed: drift is put right within 30 s.
const COMPARE_EVERY: Duration = Duration::from_secs(15);

/// Why an agent does not start, or ends.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its folder can't be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Another one took its folder while it ran.
    #[error(transparent)]
    OtherAgent(ApplyError),
    /// NATS has no such address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The password for NATS can't be read.
    #[error("the password for NATS can't be had (--nats-password-file)")]
    Password(#[from] password::Error),
    /// It is a runtime, and its memory can't be used.
    #[error(transparent)]
    Runtime(#[from] RuntimeStateError),
}

/// Runs the agent until `shutdown`.
///
/// # Errors
/// Only at the start, or if another agent took the folder: once it runs, whatever else fails is tried again.
pub async fn run(options: Options, shutdown: CancellationToken) -> Result<(), Error> {
    let mut store = NodeFolder::open(&options.dir, &options.node)?;
    if let Some(key) = &options.trust {
        store.trust(key)?;
    }
    let (prefix, node) = (options.nats_prefix.clone(), options.node.clone());
    let nats_url = password::fill(&options.nats_url, options.nats_password_file.as_deref())?;
    let link =
        connect_with(&nats_url, options.nats_password_file.as_deref(), &format!("headwater-edge {node}")).await?;
    let (status, news, told) = ReportDraft::of(report::blank(node.clone(), store.boot_no(), options.jobs.runtime));
    let (found, mut newest) = watch::channel(NewestRecord::default());
    let _watching = AbortOnDropHandle::new(tokio::spawn(records::follow(link.clone(), prefix.clone(), node, found)));
    let _telling = AbortOnDropHandle::new(tokio::spawn(report::tell(link.clone(), prefix.clone(), news, told)));

    let work = work(&options, &link)?;
    let _working = work.map(|work| AbortOnDropHandle::new(tokio::spawn(work.run(shutdown.clone()))));

    let objects = Objects::of(&link.jetstream(), &prefix).await;
    let (mut ups, mut backoff, stop) = (link.ups(), Backoff::default(), shutdown.clone());
    let mut agent = Agent::of(options, store, status, link, objects, shutdown);
    agent.resume();
    let (mut look, mut looks) = (true, tokio::time::interval(COMPARE_EVERY));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks.reset();
    while !stop.is_cancelled() {
        ups.mark_unchanged();
        let record = newest.borrow_and_update().clone();
        let pause = match agent.turn(record, look).await {
            Ok(()) => {
                backoff.reset();
                None
            }
            Err(fault @ ApplyError::OtherAgent { .. }) => return Err(Error::OtherAgent(fault)),
            Err(fault) => {
                tracing::debug!(code = fault.code(), "trying again");
                Some(backoff.failed())
            }
        };
        // A look that failed is owed, whatever wakes the agent next.
        let owed = look && pause.is_some();
        look = tokio::select! {
            () = stop.cancelled() => false,
            _ = newest.changed() => false,
            _ = ups.changed() => false,
            () = agent.touched() => true,
            () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => true,
            // It does not begin anew with each record: a node that gets one every few seconds looks, too.
            _ = looks.tick() => true,
        } || owed;
    }
    Ok(())
}

/// What the node does as a runtime, if it is one.
fn work(options: &Options, link: &Link) -> Result<Option<JobRuntime<RpcClient>>, RuntimeStateError> {
    let jobs = &options.jobs;
    let Some(command) = jobs.job_cmd.clone().filter(|_| jobs.runtime) else { return Ok(None) };
    let settings = RuntimeSettings {
        // Commands may change their folder.
        dir: std::path::absolute(&options.dir).unwrap_or_else(|_| options.dir.clone()),
        command,
        jobs_max: jobs.jobs_max,
        at_once: jobs.jobs_at_once as usize,
        within: Duration::from_secs(jobs.job_timeout_s),
        lease_s: jobs.job_lease_s,
    };
    let asking = RpcClient::of(link.clone(), options.nats_prefix.clone(), options.node.clone());
    JobRuntime::of(settings, asking).map(Some)
}

impl Agent {
    /// One turn, from what NATS said last to what runs; and a `look` at what runs.
    async fn turn(&mut self, newest: NewestRecord, look: bool) -> Result<(), ApplyError> {
        self.store.keep_lock()?;
        let judged = match newest {
            NewestRecord::Record(bytes) if self.judged.as_ref() != Some(&bytes) => self.judge(bytes).await,
            NewestRecord::Nothing => {
                self.prove();
                Ok(())
            }
            NewestRecord::Record(_) | NewestRecord::Unknown => Ok(()),
        };
        let pursued = match self.want.clone() {
            Some(want) => self.pursue(&want).await,
            None => Ok(()),
        };
        self.keep_watch();
        let mended = if look { self.mend().await } else { Ok(()) };
        self.note_attempt();
        self.tidy().await;
        self.hold();
        judged.and(pursued).and(mended)
    }

    /// Verifies a record, and accepts it or refuses it.
    async fn judge(&mut self, bytes: Bytes) -> Result<(), ApplyError> {
        let judged = match self.trusted_key().await {
            Ok(key) => self.judge_by(key, &bytes),
            Err(fault) => Err(fault),
        };
        if let Err(fault) = &judged {
            self.judged = None;
            self.status.fail_to_accept(verify::claimed(&bytes), fault);
            self.make_room(fault).await;
        }
        judged?;
        // As long as no key is pinned, another look may find another key.
        self.judged = self.store.state().key.is_some().then_some(bytes);
        Ok(())
    }

    fn judge_by(&mut self, key: PinnedKey, bytes: &[u8]) -> Result<(), ApplyError> {
        let (code, detail) = match verify::open(bytes, &key.0) {
            Ok(want) => match plan(&self.have()?, &want) {
                Ok(_) => return self.accept(want, bytes, key),
                Err(refusal) => {
                    if refusal.is_behind() {
                        self.prove();
                    }
                    (refusal.code(), refusal.to_string())
                }
            },
            Err(unverified) => {
                let mark = verify::claimed_beside(bytes, self.store.state().floor);
                self.status.refuse(mark, unverified.code(), unverified.to_string());
                return Ok(());
            }
        };
        self.status.refuse(verify::claimed(bytes), code, detail);
        Ok(())
    }

    /// Does what is still to be done for the record that was accepted.
    async fn pursue(&mut self, want: &Arc<Desired>) -> Result<(), ApplyError> {
        let link = self.relinked()?;
        if !link.is_empty() {
            self.show_drift(&link).await;
        }
        let steps = plan(&self.have()?, want).map_err(|refusal| ApplyError::DamagedRecord(refusal.to_string()))?;
        let is_good = self.store.state().last_good.is_some_and(|good| good.digest == want.digest);
        let is_repair = !link.is_empty() && is_good && !steps.is_empty();
        if is_repair && !self.may_repair(mark(want), &link) {
            return Ok(());
        }
        if steps.contains(&Step::Write) && !is_repair {
            self.warnings.clear();
        }
        let pursued = match self.follow(&steps, want).await {
            Err(ApplyError::HookRejected { code, output }) => self.reject(want, code, output).await,
            pursued => pursued,
        };
        // What did not come to its end has nothing to say beside what did.
        self.warnings.clone_from(&self.store.state().warnings);
        match &pursued {
            Ok(()) if steps.is_empty() => self.status.reach(mark(want), AttemptState::Applied),
            Ok(()) if is_repair => self.note_repair(),
            Ok(()) if steps.contains(&Step::Write) => self.status.repaired(),
            Ok(()) | Err(ApplyError::ShuttingDown) => {}
            Err(fault) => {
                self.status.fail(mark(want), fault);
                self.make_room(fault).await;
            }
        }
        pursued
    }

    /// What is old gives way to what is new.
    async fn make_room(&mut self, fault: &ApplyError) {
        if fault.code() == "disk_full" {
            self.collect(0).await;
        }
    }

    /// The steps of a plan, in order. Between any two of them, and within each, the agent may be killed.
    async fn follow(&mut self, steps: &[Step], want: &Arc<Desired>) -> Result<(), ApplyError> {
        let mark = mark(want);
        for step in steps {
            if self.shutdown.is_cancelled() {
                return Err(ApplyError::ShuttingDown);
            }
            match step {
                // `judge` has done it before there was anything else to do.
                Step::Accept => {}
                Step::Restore => self.restore(mark).await?,
                Step::LeaveRejected => self.leave_rejected(mark),
                Step::Fetch(contents) => {
                    self.status.reach(mark, AttemptState::Fetching);
                    self.fetch(contents).await?;
                    failpoints::APPLY_FETCHED.reached();
                }
                Step::Check => {
                    self.status.reach(mark, AttemptState::Verified);
                    self.check(want).await?;
                    failpoints::APPLY_CHECKED.reached();
                }
                Step::Write => {
                    if !steps.contains(&Step::Check) {
                        self.status.reach(mark, AttemptState::Verified);
                    }
                    self.write(want).await?;
                    failpoints::APPLY_WRITTEN.reached();
                }
                Step::Switch => {
                    self.status.reach(mark, AttemptState::Applying);
                    self.switch(mark).await?;
                    failpoints::APPLY_SWITCHED.reached();
                    self.keep_watch();
                }
                Step::Hook => {
                    self.hook(mark).await?;
                    failpoints::APPLY_HOOKED.reached();
                }
                Step::Settle => {
                    self.settle(mark).await?;
                    failpoints::APPLY_SETTLED.reached();
                }
            }
        }
        Ok(())
    }

    /// Keeps what is in force, and was good, as it was signed.
    async fn mend(&mut self) -> Result<(), ApplyError> {
        let state = self.store.state();
        let Some(running) = state.running.filter(|running| state.last_good == Some(*running)) else { return Ok(()) };
        let mended = self.compare(running).await;
        match &mended {
            Ok(()) | Err(ApplyError::ShuttingDown) => {}
            Err(fault) => self.status.fail_to_repair(running, fault),
        }
        mended
    }

    /// Compares the tree in force with its record; puts it right if somebody changed it.
    async fn compare(&mut self, running: RecordRef) -> Result<(), ApplyError> {
        // Equal digests are equal trees, so another record can stand in for one that is lost.
        let equal = self.want.clone().filter(|want| want.digest == running.digest);
        let record = match (self.store.record(running), equal) {
            (Err(ApplyError::DamagedRecord(_)), Some(equal)) => equal,
            // What runs may have come with the log that this one took the place of.
            (Ok(record), Some(equal)) if record.log_id != equal.log_id => equal,
            (record, _) => Arc::new(record?),
        };
        let link = self.relinked()?;
        let drift = if link.is_empty() { self.drift(running, &record).await? } else { link };
        self.show_drift(&drift).await;
        if drift.is_empty() {
            self.note_order();
            return Ok(());
        }
        if self.options.on_drift == OnDrift::Report {
            // That it could not be compared before is over; that it differs is told as drift.
            self.status.repaired();
            return Ok(());
        }
        if !self.may_repair(running, &drift) {
            return Ok(());
        }
        let steps = repair(&self.have()?, &record).map_err(|refusal| ApplyError::DamagedRecord(refusal.to_string()))?;
        let mended = self.follow(&steps, &record).await;
        self.keep_watch();
        // The repair is not what was tried last.
        if let Some(want) = self.want.clone() {
            self.leave_rejected(mark(&want));
        }
        mended?;
        self.note_repair();
        Ok(())
    }

    /// Drift is to be seen before it is gone: NATS holds the newest report only, which who watches has to read meanwhile.
    async fn show_drift(&mut self, paths: &[String]) {
        self.status.drift(paths);
        if !paths.is_empty() {
            tracing::warn!(?paths, "what runs was changed by hand");
            if self.status.told().await {
                tokio::time::sleep(SEEN_FOR).await;
            }
        }
    }
}
