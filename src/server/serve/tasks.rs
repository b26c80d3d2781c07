//! The tasks of a server: they run until it is stopped, and none of them ends it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bus::connect::Link;
use replay::log::Follower;
use schema::address::Prefix;
use schema::id::NodeId;
use schema::position::Position;
use schema::seal::SecretKey;
use store::log::Log;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wal::slot::Slot;

use crate::adapters::{ContentSource, LogBackend};
use crate::admission::Admission;
use crate::event_log::EventLog;
use crate::fleet::listener::ReportListener;
use crate::fleet::proposal_service::ProposalService;
use crate::fleet::report_watch;
use crate::fleet::rpc_service::RpcService;
use crate::fleet::standing::Standing;
use crate::publish::event_stream::{PublishedEvents, last_public};
use crate::publish::publisher::PublishSettings;
use crate::publish::stream_comparison::StreamComparison;
use crate::reconciler::{self, NodeServices};
use crate::relay::log_check::LogCheck;
use crate::relay::{Phase, Relay, RelayStatus};

use super::append_gate::AppendGateKeeper;
use super::readiness::PublishPace;

/// How often a server that does not relay asks NATS for the last public event.
const PUBLIC_EVERY: Duration = Duration::from_millis(500);
/// How often PostgreSQL is asked how much write-ahead log the slot retains.
const RETAINED_EVERY: Duration = Duration::from_secs(10);

/// A server at work.
pub(super) struct ServerTasks {
    pub(super) log: Log,
    pub(super) link: Link,
    pub(super) reports: ReportListener,
    pub(super) stop: CancellationToken,
    prefix: Prefix,
    /// Whether the event stream has foreign messages, so that events wait to be published.
    strays: Arc<AtomicBool>,
    tasks: TaskTracker,
}

/// The relay of this process.
pub(super) struct RelayHandle {
    pub(super) status: watch::Receiver<RelayStatus>,
    /// Notified, the relay signs a checkpoint.
    pub(super) signature_wanted: Arc<Notify>,
}

/// How far the log is public.
pub(super) struct PublishProgress {
    /// The last public event; nothing until it is known.
    pub(super) position: watch::Receiver<Option<Position>>,
    pub(super) pace: Arc<PublishPace>,
}

impl ServerTasks {
    /// Starts to listen to nodes and to keep the append gate, which is closed at first.
    pub(super) fn start(log: Log, link: Link, prefix: Prefix, stop: CancellationToken) -> Self {
        let (views, key) = (log.views(), log.reader().public_key().clone());
        let standing = move |node: &NodeId| Standing::of(&views.borrow(), node);
        let reports = ReportListener::of(log.log_id(), key, standing);
        let (tasks, strays) = (TaskTracker::new(), Arc::new(AtomicBool::new(false)));
        let server = Self { log, link, reports, stop, prefix, strays, tasks };
        let (log, link, prefix) = (server.log.clone(), server.link.clone(), server.prefix.clone());
        let (reports, strays) = (server.reports.clone(), Arc::clone(&server.strays));
        let listened =
            report_watch::listen(link.client().clone(), prefix.clone(), reports.clone(), server.stop.clone());
        server.tasks.spawn(listened);
        let table = Arc::new(ContentSource(log.reader().clone()));
        let events = StreamComparison::new(link.jetstream(), prefix.clone(), log.log_id(), table);
        server.spawn(AppendGateKeeper::closed(log, link, prefix, reports, events, strays).run());
        server
    }

    /// Starts to say who may come into NATS.
    pub(super) fn start_admission(&self, Admission { answerer, warden }: Admission) {
        if let Some(answerer) = answerer {
            self.spawn(answerer.run(self.log.clone()));
        }
        if let Some(warden) = warden {
            self.spawn(warden.run(self.log.clone()));
        }
    }

    /// Starts the relay, from what is folded already, and the reconciler that works while the relay follows.
    pub(super) fn start_relay(&self, slot: Slot, key: SecretKey, replicas: usize, folded: Follower) -> RelayHandle {
        self.spawn(watch_slot(slot.clone()));
        let (log, link, prefix) = (&self.log, &self.link, &self.prefix);
        let (jetstream, log_id) = (link.jetstream(), log.log_id());
        let proposals_key = key.clone();
        let settings = PublishSettings { jetstream, prefix: prefix.clone(), replicas, key, log_id };
        let reader = log.reader().beside();
        let table = Arc::new(ContentSource(reader.clone()));
        let (relay, status) = Relay::new(slot, reader, link.clone(), settings, table);
        let signature_wanted = relay.signature_wanted();
        let relay = relay.resuming(folded).with_node_proofs(self.reports.clone()).reporting_to(log.findings().clone());
        self.tasks.spawn(relay.run(self.stop.clone()));
        let source = Arc::new(LogBackend::new(log.clone(), Arc::clone(&signature_wanted)));
        let (client, order) = (link.client().clone(), Arc::default());
        let proposals = ProposalService {
            jetstream: link.jetstream(),
            prefix: prefix.clone(),
            source: Arc::clone(&source) as Arc<dyn EventLog>,
            key: proposals_key,
        };
        let rpc = RpcService { client, prefix: prefix.clone(), source, order };
        let (reports, stop) = (self.reports.clone(), self.stop.clone());
        let services = NodeServices { rpc, proposals };
        self.tasks.spawn(reconciler::run(log.clone(), reports, services, status.clone(), stop));
        RelayHandle { status, signature_wanted }
    }

    /// Starts to check the log while no relay of this process does, and to follow how far it is public.
    pub(super) fn start_observers(&self, relay: Option<&RelayHandle>) -> PublishProgress {
        let status = relay.map(|relay| relay.status.clone());
        let published = PublishedEvents::new(self.link.jetstream(), self.prefix.clone());
        let check = LogCheck::new(self.log.reader(), published).reporting_to(self.log.findings().clone());
        self.spawn(check.run_while(relays_elsewhere(status.clone())));
        let pace = Arc::new(PublishPace::of(self.log.clone(), Arc::clone(&self.strays)));
        let (public, position) = watch::channel(None);
        let (link, prefix) = (self.link.clone(), self.prefix.clone());
        self.spawn(follow_public(link, prefix, status, public, Arc::clone(&pace)));
        PublishProgress { position, pace }
    }

    /// Waits for all tasks, once the server is stopped.
    pub(super) async fn finish(self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(task));
    }
}

/// Whether no relay of this process is at work, which would check the log itself.
fn relays_elsewhere(status: Option<watch::Receiver<RelayStatus>>) -> impl Fn() -> bool {
    move || status.as_ref().is_none_or(|status| status.borrow().phase == Phase::Standby)
}

/// Follows how far the log is public: by the relay's status while it follows here, else by the event stream.
async fn follow_public(
    link: Link,
    prefix: Prefix,
    mut status: Option<watch::Receiver<RelayStatus>>,
    public: watch::Sender<Option<Position>>,
    pace: Arc<PublishPace>,
) {
    loop {
        let here = status.as_mut().map(|status| status.borrow_and_update().clone());
        match here.filter(|here| here.phase == Phase::Following) {
            Some(here) => drop(public.send_replace(Some(here.published))),
            None if link.is_up() => match last_public(&link.jetstream(), &prefix).await {
                Ok(last) => drop(public.send_replace(Some(last))),
                Err(error) => tracing::debug!(%error, "how far the log is public is not known"),
            },
            None => {}
        }
        pace.lag(*public.borrow());
        let changed = async {
            match &mut status {
                Some(status) => status.changed().await,
                None => std::future::pending().await,
            }
        };
        // A relay that has ended changes no more: without this, the loop would not pause.
        if let Ok(Err(_)) = timeout(PUBLIC_EVERY, changed).await {
            status = None;
        }
    }
}

/// Measures what PostgreSQL retains for the slot, above all while no relay consumes it.
async fn watch_slot(slot: Slot) {
    loop {
        metrics::slot_retained(slot.retained_bytes().await.ok().flatten());
        sleep(RETAINED_EVERY).await;
    }
}

/// Counts the connections to NATS that were made, until the link is dropped.
pub(super) async fn count_connections(mut ups: watch::Receiver<u64>) {
    let mut counted = 0;
    while ups.changed().await.is_ok() {
        let up = *ups.borrow_and_update();
        (counted..up).for_each(|_| metrics::connection_made("nats"));
        counted = up;
    }
}
