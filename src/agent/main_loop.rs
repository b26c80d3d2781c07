//! The main loop of the agent: load, connect, watch; then a turn for each record, and whenever the tree in force is to be compared.
//!
//! Absent on purpose: what a turn does (`turn`), and the repair of drift (`drift`).

use std::time::Duration;

use bus::connect::{AddressError, Link};
use bus::identity::{BusIdentity, KeyHolder};
use bus::objects::Objects;
use program::backoff::Backoff;
use program::exit::ExitClass;
use program::password;
use schema::permissions::node_inbox;
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
use crate::options::Options;
use crate::proposal_sender::ProposalSender;
use crate::record_watch::{self as records, NewestRecord};
use crate::report::{self, ReportPublisher, ReportUpdate};
use crate::report_draft::ReportDraft;

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
