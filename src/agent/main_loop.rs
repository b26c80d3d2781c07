//! The main loop of the agent: load, connect, watch; then for each record verify, plan, fetch, write, check, switch, run the
//! hook, and report.
//!
//! Invariants: the generation in force stays until a newer one is complete; every turn starts from what is on disk, so a turn
//! that was interrupted anywhere is repeated; only a rejection by the operator's check or hook is final.

use std::sync::Arc;
use std::time::Duration;

use bus::connect::{AddressError, Link};
use bus::identity::{BusIdentity, KeyHolder};
use bus::objects::Objects;
use bytes::Bytes;
use program::backoff::Backoff;
use program::exit::ExitClass;
use program::failpoints;
use program::password;
use projections::plan::{Step, plan, repair};
use schema::desired::Desired;
use schema::permissions::node_inbox;
use schema::report::{AttemptState, RecordRef};
use schema::seal::SecretKey;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::access_note::AccessNote;
use crate::actions::Agent;
use crate::apply_error::ApplyError;
use crate::boot_number::BootNumber;
use crate::jobs::job_runtime::JobRuntime;
use crate::jobs::rpc_client::RpcClient;
use crate::jobs::runtime_settings::RuntimeSettings;
use crate::jobs::runtime_state::RuntimeStateError;
use crate::layout::Layout;
use crate::node_folder::{NodeFolder, OpenError};
use crate::node_seed::{NodeSeed, NodeSeedError};
use crate::node_state::PinnedKey;
use crate::options::{OnDrift, Options};
use crate::proposal_sender::ProposalSender;
use crate::record_watch::{self as records, NewestRecord};
use crate::report::{self, ReportPublisher, ReportUpdate};
use crate::report_draft::ReportDraft;
use crate::verify;

/// How long a report of drift stays in NATS at least before the repair replaces it.
const DRIFT_SHOWN_FOR: Duration = Duration::from_millis(100);
/// How often the tree in force is compared with its record without an inotify event: drift is repaired within 30 s.
const COMPARE_EVERY: Duration = Duration::from_secs(15);

/// Why an agent does not start, or ends.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder can't be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Another agent took the folder meanwhile.
    #[error(transparent)]
    OtherAgent(ApplyError),
    /// The URL of NATS is malformed.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The password file can't be read.
    #[error("the password for NATS can't be had (--nats-password-file)")]
    Password(#[from] password::Error),
    /// The node's seed can't be read or made.
    #[error(transparent)]
    Seed(#[from] NodeSeedError),
    /// The state of the assessment runtime can't be read.
    #[error(transparent)]
    Runtime(#[from] RuntimeStateError),
}

impl Error {
    /// The class of the exit code.
    #[must_use]
    pub fn exit_class(&self) -> ExitClass {
        match self {
            Self::Address(AddressError::Transport(_)) => ExitClass::Usage,
            _ => ExitClass::Refused,
        }
    }
}

/// Runs the agent until `shutdown`.
///
/// # Errors
/// Only at the start, or if another agent took the folder: once it runs, whatever else fails is tried again.
pub async fn run(options: Options, shutdown: CancellationToken) -> Result<(), Error> {
    let mut folder = NodeFolder::open(&options.dir, &options.node)?;
    if let Some(key) = &options.trust {
        folder.trust(key)?;
    }
    let (prefix, node) = (options.nats.nats_prefix.clone(), options.node.clone());
    log_start(&options, &folder);
    let seed = NodeSeed::read_or_create(folder.layout())?;
    let identity = BusIdentity::of(seed.bus()).hearing(node_inbox(&node), KeyHolder::Node);
    let link = options.nats.connect::<Error>(options.plain, Some(&identity), &format!("headwater-edge {node}")).await?;
    let (report, updates, published) = ReportDraft::of(report::blank_report(node.clone(), options.jobs.runtime));
    let (say, boot_number) = (seed.say(), BootNumber::counted(folder.boot_no()));
    let mut boot_no = boot_number.watched();
    let (found, mut newest) = watch::channel(NewestRecord::default());
    let _watching =
        AbortOnDropHandle::new(tokio::spawn(records::watch_record(link.clone(), prefix.clone(), node, found)));
    let _speaking = speak(&options, &link, &say, &boot_number, folder.layout(), (updates, published));

    let jobs = job_runtime(&options, &link, say, &boot_number)?;
    let _jobs = jobs.map(|jobs| AbortOnDropHandle::new(tokio::spawn(jobs.run(shutdown.clone()))));

    let objects = Objects::of(&link.jetstream(), &prefix).await;
    let (mut ups, mut backoff, stop) = (link.ups(), Backoff::default(), shutdown.clone());
    let mut agent = Agent::of(options, folder, report, link, objects, shutdown);
    agent.resume();
    let (mut compare, mut compare_timer) = (true, tokio::time::interval(COMPARE_EVERY));
    compare_timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    compare_timer.reset();
    while !stop.is_cancelled() {
        ups.mark_unchanged();
        if let Some(boot_no) = *boot_no.borrow_and_update() {
            agent.folder.raise_boot_no(boot_no);
        }
        let record = newest.borrow_and_update().clone();
        let pause = match agent.run_once(record, compare).await {
            Ok(()) => {
                backoff.reset();
                None
            }
            Err(error @ ApplyError::OtherAgent { .. }) => return Err(Error::OtherAgent(error)),
            Err(error) => {
                tracing::debug!(code = error.code(), "trying again");
                Some(backoff.failed())
            }
        };
        // A comparison that failed is repeated, whatever wakes the agent next.
        let compare_again = compare && pause.is_some();
        compare = tokio::select! {
            () = stop.cancelled() => false,
            _ = newest.changed() => false,
            _ = boot_no.changed() => false,
            _ = ups.changed() => false,
            () = agent.tree_changed() => true,
            () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => true,
            // A new record does not reset this timer: a node with a record every few seconds compares, too.
            _ = compare_timer.tick() => true,
        } || compare_again;
    }
    Ok(())
}

/// Starts the tasks that publish what this node says, its reports and its proposals, and the one that notes whether NATS lets it in.
fn speak(
    options: &Options,
    link: &Link,
    say: &SecretKey,
    boot_number: &BootNumber,
    layout: &Layout,
    (updates, published): (watch::Receiver<ReportUpdate>, watch::Sender<u64>),
) -> [AbortOnDropHandle<()>; 3] {
    let publisher = ReportPublisher {
        link: link.clone(),
        prefix: options.nats.nats_prefix.clone(),
        say: say.clone(),
        boot_number: boot_number.clone(),
        has_own_user: !options.nats.names_user(),
    };
    let sender = ProposalSender {
        link: link.clone(),
        prefix: options.nats.nats_prefix.clone(),
        node: options.node.clone(),
        say: say.clone(),
        boot_number: boot_number.clone(),
        layout: layout.clone(),
    };
    let noting = AccessNote::follow(link.clone(), layout.clone());
    let spawned = [tokio::spawn(publisher.run(updates, published)), tokio::spawn(sender.run()), tokio::spawn(noting)];
    spawned.map(AbortOnDropHandle::new)
}

/// Says what this agent is and what it was told. Neither the password nor a command of the operator is shown, as a command may hold a
/// secret.
fn log_start(options: &Options, folder: &NodeFolder) {
    let (state, jobs) = (folder.state(), &options.jobs);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        node = %options.node,
        dir = %folder.layout().root().display(),
        nats = options.nats.shown_url(),
        nats_prefix = %options.nats.nats_prefix,
        key = state.key.as_ref().map(PinnedKey::hex),
        log = state.log_id.map(tracing::field::display),
        position = state.floor.map(|floor| floor.position.get()),
        boot_no = folder.boot_no(),
        check = options.check.is_some(),
        apply = options.apply.is_some(),
        hook_timeout_s = options.hook_timeout_s,
        on_drift = ?options.on_drift,
        jobs_max = jobs.runtime.then_some(jobs.jobs_max),
        "agent started"
    );
}

/// The assessment runtime of this node, if it is one.
fn job_runtime(
    options: &Options,
    link: &Link,
    say: SecretKey,
    boot_number: &BootNumber,
) -> Result<Option<JobRuntime<RpcClient>>, RuntimeStateError> {
    let jobs = &options.jobs;
    let Some(command) = jobs.job_cmd.clone().filter(|_| jobs.runtime) else { return Ok(None) };
    let settings = RuntimeSettings {
        // Job commands may run in another working folder.
        dir: std::path::absolute(&options.dir).unwrap_or_else(|_| options.dir.clone()),
        command,
        jobs_max: jobs.jobs_max,
        parallel_max: jobs.jobs_at_once as usize,
        timeout: Duration::from_secs(jobs.job_timeout_s),
        lease_s: jobs.job_lease_s,
    };
    let client = RpcClient {
        link: link.clone(),
        prefix: options.nats.nats_prefix.clone(),
        node: options.node.clone(),
        say,
        boot_number: boot_number.clone(),
    };
    JobRuntime::of(settings, client).map(Some)
}

impl Agent {
    /// One turn: verify the newest record, apply the accepted one, and `compare` the tree in force with its record.
    async fn run_once(&mut self, newest: NewestRecord, compare: bool) -> Result<(), ApplyError> {
        self.folder.keep_lock()?;
        let judged = match newest {
            NewestRecord::Record(bytes) if self.judged.as_ref() != Some(&bytes) => self.judge(bytes).await,
            NewestRecord::Nothing => {
                self.add_proof();
                Ok(())
            }
            NewestRecord::Record(_) | NewestRecord::Unknown => Ok(()),
        };
        let applied = match self.want.clone() {
            Some(want) => self.apply(&want).await,
            None => Ok(()),
        };
        self.update_watch();
        let repaired = if compare { self.repair_drift().await } else { Ok(()) };
        self.note_attempt();
        self.collect_if_needed().await;
        self.update_report();
        judged.and(applied).and(repaired)
    }

    /// Verifies a record, and accepts or refuses it.
    async fn judge(&mut self, bytes: Bytes) -> Result<(), ApplyError> {
        let judged = match self.trusted_key().await {
            Ok(key) => self.judge_with(key, &bytes),
            Err(error) => Err(error),
        };
        if let Err(error) = &judged {
            self.judged = None;
            self.report.accept_failed(verify::claimed(&bytes), error);
            self.make_room(error).await;
        }
        judged?;
        // Until a key is pinned, the next attempt may find another key in NATS.
        self.judged = self.folder.state().key.is_some().then_some(bytes);
        Ok(())
    }

    fn judge_with(&mut self, key: PinnedKey, bytes: &[u8]) -> Result<(), ApplyError> {
        let (code, detail) = match verify::open(bytes, &key.0) {
            Ok(want) => match plan(&self.have()?, &want) {
                Ok(_) => return self.accept(want, bytes, key),
                Err(refusal) => {
                    if refusal.is_behind() {
                        self.add_proof();
                    }
                    (refusal.code(), refusal.to_string())
                }
            },
            Err(unverified) => {
                let record_ref = verify::claimed_beside(bytes, self.folder.state().floor);
                self.report.refuse(record_ref, unverified.code(), unverified.to_string());
                return Ok(());
            }
        };
        self.report.refuse(verify::claimed(bytes), code, detail);
        Ok(())
    }

    /// Takes the steps that the accepted record still needs.
    async fn apply(&mut self, want: &Arc<Desired>) -> Result<(), ApplyError> {
        let link = self.relinked()?;
        if !link.is_empty() {
            self.report_drift(&link).await;
        }
        let steps = plan(&self.have()?, want).map_err(|refusal| ApplyError::DamagedRecord(refusal.to_string()))?;
        let is_good = self.folder.state().last_good.is_some_and(|good| good.digest == want.digest);
        let is_repair = !link.is_empty() && is_good && !steps.is_empty();
        if is_repair && !self.may_repair(want.record_ref(), &link) {
            return Ok(());
        }
        if steps.contains(&Step::Write) && !is_repair {
            self.warnings.clear();
        }
        let applied = match self.take_steps(&steps, want).await {
            Err(ApplyError::HookRejected { code, output }) => self.reject(want, code, output).await,
            applied => applied,
        };
        // Warnings of a record that was not applied to the end are dropped.
        self.warnings.clone_from(&self.folder.state().warnings);
        match &applied {
            Ok(()) if steps.is_empty() => self.report.set_attempt(want.record_ref(), AttemptState::Applied),
            Ok(()) if is_repair => self.note_repair(),
            Ok(()) if steps.contains(&Step::Write) => self.report.repaired(),
            Ok(()) | Err(ApplyError::ShuttingDown) => {}
            Err(error) => {
                self.report.fail(want.record_ref(), error);
                self.make_room(error).await;
            }
        }
        applied
    }

    /// Deletes all old generations if the disk is full.
    async fn make_room(&mut self, error: &ApplyError) {
        if error.code() == "disk_full" {
            self.collect(0).await;
        }
    }

    /// Takes the steps of a plan in order. The agent may be killed at any point of it.
    async fn take_steps(&mut self, steps: &[Step], want: &Arc<Desired>) -> Result<(), ApplyError> {
        let record_ref = want.record_ref();
        for step in steps {
            if self.shutdown.is_cancelled() {
                return Err(ApplyError::ShuttingDown);
            }
            match step {
                // `judge` did this before the plan was made.
                Step::Accept => {}
                Step::Restore => self.restore(record_ref).await?,
                Step::LeaveRejected => self.report_rejected(record_ref),
                Step::Fetch(contents) => {
                    self.report.set_attempt(record_ref, AttemptState::Fetching);
                    self.fetch(want.log_id, contents).await?;
                    failpoints::APPLY_FETCHED.reached();
                }
                Step::Check => {
                    self.report.set_attempt(record_ref, AttemptState::Verified);
                    self.check(want).await?;
                    failpoints::APPLY_CHECKED.reached();
                }
                Step::Write => {
                    if !steps.contains(&Step::Check) {
                        self.report.set_attempt(record_ref, AttemptState::Verified);
                    }
                    self.write(want).await?;
                    failpoints::APPLY_WRITTEN.reached();
                }
                Step::Switch => {
                    self.report.set_attempt(record_ref, AttemptState::Applying);
                    self.switch(record_ref).await?;
                    failpoints::APPLY_SWITCHED.reached();
                    self.update_watch();
                }
                Step::Hook => {
                    self.run_apply_hook(record_ref).await?;
                    failpoints::APPLY_HOOKED.reached();
                }
                Step::Settle => {
                    self.mark_good(record_ref).await?;
                    failpoints::APPLY_SETTLED.reached();
                }
            }
        }
        Ok(())
    }

    /// Compares the generation in force with its record, if it is good, and repairs drift.
    async fn repair_drift(&mut self) -> Result<(), ApplyError> {
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
    async fn report_drift(&mut self, paths: &[String]) {
        self.report.set_drift(paths);
        if !paths.is_empty() {
            tracing::warn!(?paths, "the tree in force differs from its record");
            if self.report.published().await {
                tokio::time::sleep(DRIFT_SHOWN_FOR).await;
            }
        }
    }
}
