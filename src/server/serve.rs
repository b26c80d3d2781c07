//! `headwater serve`: the door, and the relay with its reconciler, joined.

mod append_gate;
mod damaged_log;
mod readiness;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bus::connect::{Link, connect_with};
use program::exit::ExitClass;
use program::password;
use schema::address::Prefix;
use schema::id::NodeId;
use schema::position::Position;
use store::appender::Appender;
use store::database::{Database, Error as LogError};
use store::log::Log;
use store::reader::Reader;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use wal::slot::Slot;

use crate::adapters::{ContentSource, LogBackend};
use crate::backend;
use crate::config::{NatsOptions, PostgresOptions, SigningKeyOptions};
use crate::fleet::listener::{self, ReportListener};
use crate::fleet::rpc_service::RpcService;
use crate::http::listener::ConnectionLimits;
use crate::http::router::{self, AppDependencies, AppState, HttpLimits};
use crate::publish::event_stream::{PublishedEvents, last_public};
use crate::publish::publisher::PublishSettings;
use crate::publish::signing_key;
use crate::publish::stream_comparison::StreamComparison;
use crate::reconciler;
use crate::relay::log_check::LogCheck;
use crate::relay::{Phase, Relay, RelayStatus};

use self::append_gate::Outlook;
use self::damaged_log::DamagedLog;
use self::readiness::{PublishPace, ReadinessParts};

/// How long a server waits for PostgreSQL at its start before it gives up: databases and servers start together.
const DATABASE_WITHIN: Duration = Duration::from_secs(30);
/// How often it tries meanwhile.
const DATABASE_AGAIN: Duration = Duration::from_millis(500);
/// How often it says so as long as the reason is the same.
const SAID_AGAIN: Duration = Duration::from_secs(5);
/// How soon it says that a session is not open yet, although PostgreSQL has refused nothing.
const SAID_AFTER: Duration = Duration::from_secs(2);

/// How often a server that does not relay asks NATS how far the log is public.
const PUBLIC_AGAIN: Duration = Duration::from_millis(500);
/// How often PostgreSQL is asked what it keeps for the slot.
const RETAINED_AGAIN: Duration = Duration::from_secs(10);

/// Serves a log: the HTTP door that takes commands and answers questions, and the relay that carries every change from
/// the write-ahead log into NATS. Several servers may serve one log: all of their doors are open, one of them relays.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// What this server does: `door` takes commands, `reconciler` relays, `all` does both. Each answers to /healthz, /readyz and
    /// /metrics.
    #[arg(long, env = "HEADWATER_ROLE", value_enum, default_value_t = ServerRole::All)]
    pub role: ServerRole,

    /// Where the door listens. It speaks plain HTTP: put a proxy with TLS before it where others can listen in.
    #[arg(long, env = "HEADWATER_HTTP", value_name = "ADDR", default_value = "127.0.0.1:7300")]
    pub http: SocketAddr,

    #[command(flatten)]
    postgres: PostgresOptions,

    /// The same database as role headwater_relay, which may replicate [default: the database URL]
    #[arg(long, env = "HEADWATER_REPLICATION_URL", value_name = "URL", hide_env_values = true)]
    pub replication_url: Option<String>,

    /// A file with the password for the replication URL.
    #[arg(long, env = "HEADWATER_REPLICATION_PASSWORD_FILE", value_name = "FILE", requires = "replication_url")]
    pub replication_password_file: Option<PathBuf>,

    /// The replication slot [default: headwater_ and the database's name]
    #[arg(long, env = "HEADWATER_SLOT", value_name = "NAME")]
    pub slot: Option<String>,

    #[command(flatten)]
    nats: NatsOptions,

    #[command(flatten)]
    key: SigningKeyOptions,
}

/// What a server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ServerRole {
    /// The door and the relay.
    All,
    /// Only the door.
    Door,
    /// Only the relay and the reconciler.
    Reconciler,
}

/// Why a server does not start, or ends.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// PostgreSQL or NATS did not do its part.
    #[error(transparent)]
    Backend(backend::Error),
    /// The key is not the log's.
    #[error("the signing key is not the one that this log was installed with ({0}): use that key's file")]
    OtherKey(String),
    /// The door can't be opened.
    #[error("can't listen on {0}")]
    Listen(SocketAddr, #[source] std::io::Error),
}

impl<E: Into<backend::Error>> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Backend(error.into())
    }
}

impl Error {
    /// How it counts.
    #[must_use]
    pub fn exit_class(&self) -> ExitClass {
        match self {
            Self::Backend(error) => error.exit_class(),
            _ => ExitClass::Refused,
        }
    }
}

/// Serves until `stop`.
///
/// # Errors
/// Only at the start: once it serves, whatever fails is tried again, and `/readyz` says what.
pub async fn run(options: Options, stop: CancellationToken) -> Result<(), Error> {
    let key = signing_key::load(&options.key.signing_key_file)?;
    let database_url = options.postgres.url()?;
    let replication_url = match &options.replication_url {
        Some(url) => password::fill(url, options.replication_password_file.as_deref())?,
        None => database_url.clone(),
    };
    let slot = Slot::parse(&replication_url, options.slot.clone())?;
    let database = Database::parse(&database_url)?.told_by(options.postgres.look_at());
    let link =
        connect_with(&options.nats.url()?, options.nats.nats_password_file.as_deref(), "headwater serve").await?;
    drop(tokio::spawn(count_connections(link.ups())));
    // In a task of its own: a fold that keeps its thread busy does not keep this one from seeing that it is to end.
    let opening = AbortOnDropHandle::new(tokio::spawn(open(database.clone())));
    let Some(opened) = stop.run_until_cancelled(opening).await else { return Ok(()) };
    let (appender, log) = match opened.unwrap_or_else(|ended| std::panic::resume_unwind(ended.into_panic())) {
        Ok(opened) => opened,
        Err(error) if error.is_about_rows() => {
            let damaged = DamagedLog { database, link: link.clone(), prefix: options.nats.nats_prefix.clone() };
            let intact = damaged.until_intact(error, options.http, &stop).await;
            match intact.map_err(|why| Error::Listen(options.http, why))? {
                Some(opened) => opened,
                None => return Ok(()),
            }
        }
        Err(error) => return Err(error.into()),
    };
    let reader = log.reader().clone();
    if *reader.public_key() != key.public() {
        return Err(Error::OtherKey(hex::encode(reader.public_key().as_bytes())));
    }
    tracing::info!(log = %log.log_id(), head = %log.view().position(), "the log is folded");

    let tasks = TaskTracker::new();
    let views = log.views();
    let is_enrolled = move |node: &NodeId| views.borrow().nodes().contains_key(node);
    let reports = ReportListener::of(log.log_id(), reader.public_key().clone(), is_enrolled);
    let prefix = options.nats.nats_prefix.clone();
    // The appender outlives the door, so that what was taken in is answered.
    let appending = CancellationToken::new();
    let appended = tokio::spawn(appender.heeding(stop.clone()).run(appending.clone()));
    tasks.spawn(listener::listen(link.client().clone(), prefix.clone(), reports.clone(), stop.clone()));

    let strays = Arc::new(AtomicBool::new(false));
    let table = Arc::new(ContentSource(reader.clone()));
    let outlook = Outlook {
        log: log.clone(),
        link: link.clone(),
        prefix: prefix.clone(),
        reports: reports.clone(),
        events: StreamComparison::new(link.jetstream(), prefix.clone(), log.log_id(), table),
        strays: Arc::clone(&strays),
    };
    outlook.withhold_at_first();
    tasks.spawn(stop.clone().run_until_cancelled_owned(outlook.keep()));

    let (public, published) = watch::channel(None);
    let mut status = None;
    let mut demand = Arc::default();
    if options.role != ServerRole::Door {
        let settings = PublishSettings {
            jetstream: link.jetstream(),
            prefix: prefix.clone(),
            replicas: usize::from(options.nats.nats_replicas),
            key,
            log_id: log.log_id(),
        };
        tasks.spawn(stop.clone().run_until_cancelled_owned(watch_slot(slot.clone())));
        let reader = reader.beside();
        let (relay, statuses) =
            Relay::new(slot, reader.clone(), link.clone(), settings, Arc::new(ContentSource(reader)));
        demand = relay.demand();
        tasks.spawn(relay.with_node_proofs(reports.clone()).reporting_to(log.findings().clone()).run(stop.clone()));
        let source = Arc::new(LogBackend::new(log.clone(), Arc::clone(&demand)));
        let asking = RpcService { client: link.client().clone(), prefix: prefix.clone(), source };
        tasks.spawn(reconciler::run(log.clone(), reports.clone(), asking, statuses.clone(), stop.clone()));
        status = Some(statuses);
    }
    let check = LogCheck::new(&reader, PublishedEvents::new(link.jetstream(), prefix.clone()))
        .reporting_to(log.findings().clone());
    tasks.spawn(stop.clone().run_until_cancelled_owned(check.watch(beside(status.clone()))));
    let pace = Arc::new(PublishPace::of(log.clone(), strays));
    let follow = follow_public(link.clone(), prefix, status.clone(), public, Arc::clone(&pace));
    tasks.spawn(stop.clone().run_until_cancelled_owned(follow));
    let listener = TcpListener::bind(options.http).await.map_err(|why| Error::Listen(options.http, why))?;
    tracing::info!(http = %options.http, role = ?options.role, "this server can be asked");
    let source = Arc::new(LogBackend::new(log.clone(), demand));
    let parts = ReadinessParts { log, reports, link };
    let door = AppState::from(app_dependencies(parts, source, status, published, pace, stop.clone()));
    let router =
        if options.role == ServerRole::Reconciler { router::monitoring_router(door) } else { router::router(door) };
    crate::http::listener::serve(listener, router, ConnectionLimits::default(), stop.clone()).await;
    tasks.close();
    tasks.wait().await;
    appending.cancel();
    // A panic of the appender was reported where it happened.
    let _ = appended.await;
    Ok(())
}

/// Folds the log, waiting a while for PostgreSQL to be there.
async fn open(database: Database) -> Result<(Appender, Log), LogError> {
    let deadline = Instant::now() + DATABASE_WITHIN;
    let mut said: Option<(String, Instant)> = None;
    loop {
        let opened = async { Appender::start(reader(&database).await?).await };
        match opened.await {
            Ok(opened) => return Ok(opened),
            Err(error) if error.is_transient() && Instant::now() < deadline => {
                let text = error.to_string();
                if said.as_ref().is_none_or(|(before, at)| *before != text || at.elapsed() > SAID_AGAIN) {
                    let left = deadline.saturating_duration_since(Instant::now()).as_secs();
                    tracing::warn!(%error, "waiting for PostgreSQL: trying again twice a second, for {left} s more");
                    said = Some((text, Instant::now()));
                }
                tokio::time::sleep(DATABASE_AGAIN).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Opens the log. Whoever is let in by nobody, and refused by nobody either, says where it waits.
async fn reader(database: &Database) -> Result<Reader, LogError> {
    let mut opening = std::pin::pin!(Reader::open(database.clone()));
    if let Ok(opened) = tokio::time::timeout(SAID_AFTER, &mut opening).await {
        return opened;
    }
    tracing::warn!(at = database.place(), user = database.user(), "waiting for PostgreSQL: it has not answered yet");
    opening.await
}

/// Whether this server does not relay now, so that no relay of its own checks the log.
fn beside(status: Option<watch::Receiver<RelayStatus>>) -> impl Fn() -> bool {
    move || status.as_ref().is_none_or(|status| status.borrow().phase == Phase::Standby)
}

/// Knows how far the log is public: from the relay while it follows here, and from NATS while it does elsewhere.
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
        pace.look(*public.borrow());
        let moved = async {
            match &mut status {
                Some(status) => status.changed().await,
                None => std::future::pending().await,
            }
        };
        // Whether the relay moved or the time is up, it is looked again. One that has ended moves no more.
        if let Ok(Err(_)) = tokio::time::timeout(PUBLIC_AGAIN, moved).await {
            status = None;
        }
    }
}

/// Knows what PostgreSQL keeps for the slot, above all while nobody takes it away.
async fn watch_slot(slot: Slot) {
    loop {
        metrics::retained(slot.retained_bytes().await.ok().flatten());
        tokio::time::sleep(RETAINED_AGAIN).await;
    }
}

/// Counts each time that the connection to NATS came up. It ends with the connection.
async fn count_connections(mut ups: watch::Receiver<u64>) {
    let mut counted = 0;
    while ups.changed().await.is_ok() {
        let up = *ups.borrow_and_update();
        (counted..up).for_each(|_| metrics::connected("nats"));
        counted = up;
    }
}

fn app_dependencies(
    parts: ReadinessParts,
    source: Arc<LogBackend>,
    status: Option<watch::Receiver<RelayStatus>>,
    published: watch::Receiver<Option<Position>>,
    pace: Arc<PublishPace>,
    closing: CancellationToken,
) -> AppDependencies {
    let (reports, log) = (parts.reports.clone(), parts.log.clone());
    let (relaying, public) = (status.clone(), published.clone());
    AppDependencies {
        log: source,
        reports,
        readiness: Arc::new(move || {
            let status = status.as_ref().map(|status| {
                let shown = status.borrow().clone();
                let ended = status.has_changed().err();
                let ended = ended.map(|_| "the relay has ended: this server has to be started again".to_owned());
                RelayStatus { fault: ended.or(shown.fault), ..shown }
            });
            // A door does its work whoever publishes.
            let wait = status.as_ref().and_then(|_| pace.look(*public.borrow()));
            parts.reasons(status, wait)
        }),
        warnings: Arc::new(move || readiness::warnings(&log)),
        published: Arc::new(move || *published.borrow()),
        relay: Arc::new(move || relaying.as_ref().map(|status| status.borrow().phase.name())),
        limits: HttpLimits::default(),
        closing,
    }
}
