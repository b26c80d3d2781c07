//! `headwater serve`: the HTTP API, and the relay with its reconciler.
//!
//! A server folds the log (`startup`), opens the append gate once the log was compared with what was published (`append_gate`),
//! and starts what its role asks for (`tasks`). What fails later is tried again, and `readiness` says what.

mod append_gate;
mod damaged_log;
mod readiness;
mod startup;
mod tasks;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bus::connect::Link;
use bus::options::{IdentityOptions, NatsOptions};
use program::password;
use program::tasks::resume_panic;
use schema::seal::{PublicKey, SecretKey};
use store::appender::Appender;
use store::database::Database;
use store::log::Log;
use tls::plain::PlainOption;
use tls::server_certificate::ServerCertificate;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use wal::slot::Slot;

use crate::adapters::LogBackend;
use crate::admission::Admission;
use crate::backend;
use crate::config::{BusOptions, HttpOptions, PostgresOptions, StreamOptions};
use crate::http::listener::{self, ConnectionLimits, HttpListener};
use crate::http::router::{self, AppDependencies, AppState, HttpLimits};
use crate::publish::signing_key;
use crate::relay::RelayStatus;

use self::damaged_log::DamagedLog;
use self::readiness::ReadinessInputs;
use self::tasks::{PublishProgress, RelayHandle, ServerTasks};

/// Serves a log: the HTTP API that takes commands and answers questions, and the relay that publishes every change from the
/// write-ahead log in NATS. Several servers may serve one log: all of them answer over HTTP, one of them relays.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// What this server does: `door` answers over HTTP, `reconciler` relays, `all` does both. Each answers /healthz, /readyz and
    /// /metrics.
    #[arg(long, env = "HEADWATER_ROLE", value_enum, default_value_t = ServerRole::All)]
    pub role: ServerRole,

    #[command(flatten)]
    http: HttpOptions,

    #[command(flatten)]
    plain: PlainOption,

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
    identity: IdentityOptions,

    #[command(flatten)]
    bus: BusOptions,

    #[command(flatten)]
    streams: StreamOptions,

    /// The file with the Ed25519 key that desired records are signed with: 64 hex digits, mode 600. `headwater install` makes it;
    /// every server of one log that relays needs the same. A server with role `door` needs none.
    #[arg(long, env = "HEADWATER_SIGNING_KEY_FILE", value_name = "FILE")]
    signing_key_file: Option<PathBuf>,
}

/// The part of the work that one server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ServerRole {
    /// The HTTP API and the relay.
    All,
    /// Only the HTTP API.
    Door,
    /// Only the relay and the reconciler.
    Reconciler,
}

/// Why a server does not start, or ends.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// PostgreSQL or NATS refused, or could not be reached.
    #[error(transparent)]
    Backend(backend::Error),
    /// The key is not the log's; the public key that is, in hex.
    #[error("the signing key is not the one that this log was installed with ({0}): use that key's file")]
    OtherKey(String),
    /// A server that relays signs.
    #[error("--signing-key-file is needed, unless the role is `door`")]
    NoKey,
    /// The address of the HTTP API can't be bound.
    #[error("can't listen on {0}")]
    Listen(SocketAddr, #[source] std::io::Error),
}

backend::command_error!(Error, Usage: Self::NoKey);

/// Serves until `stop`.
///
/// # Errors
/// Only at the start: once it serves, whatever fails is tried again, and `/readyz` says what.
pub async fn run(options: Options, stop: CancellationToken) -> Result<(), Error> {
    let certificate = options.http.certificate(options.plain)?;
    let watched = certificate.clone().map(|certificate| AbortOnDropHandle::new(tokio::spawn(certificate.watch())));
    let key = options.signing_key()?;
    let slot = options.slot()?;
    let database = options.postgres.database(options.plain)?;
    options.log_start(&database, &slot, key.as_ref().map(SecretKey::public).as_ref());
    let link =
        options.nats.connect::<Error>(options.plain, options.identity.load()?.as_ref(), "headwater serve").await?;
    let admission = Admission::connect(&options.bus, &options.nats, options.plain).await?;
    options.log_admission(&admission);
    drop(tokio::spawn(tasks::count_connections(link.ups())));
    let Some((appender, log)) = open_log(&options, database, &link, certificate.clone(), &stop).await? else {
        return Ok(());
    };
    if key.as_ref().is_some_and(|key| *log.reader().public_key() != key.public()) {
        return Err(Error::OtherKey(hex::encode(log.reader().public_key().as_bytes())));
    }
    tracing::info!(log = %log.log_id(), head = %log.view().position(), "log folded");

    let folded = appender.folded();
    // The appender outlives the HTTP API, so that every request that was accepted is answered.
    let appending = CancellationToken::new();
    let appended = tokio::spawn(appender.heeding(stop.clone()).run(appending.clone()));
    let server = ServerTasks::start(log, link, options.nats.nats_prefix.clone(), stop.clone());
    let is_password_answered = admission.answerer.as_ref().is_some_and(|answerer| answerer.open.is_some());
    server.start_admission(admission);
    let relay = key.map(|key| server.start_relay(slot, key, usize::from(options.streams.nats_replicas), folded));
    let published = server.start_observers(relay.as_ref());
    let http = options.http.http;
    let socket = HttpListener::bind(http, certificate.clone()).await.map_err(|why| Error::Listen(http, why))?;
    tracing::info!(%http, tls = certificate.is_some(), role = ?options.role, "server ready for requests");
    let has_console = !options.http.no_console;
    let dependencies = app_dependencies(&server, relay, published, is_password_answered, certificate, has_console);
    let app = AppState::from(dependencies);
    let router = match options.role {
        ServerRole::Reconciler => router::monitoring_router(app),
        _ => router::router(app),
    };
    listener::serve(socket, router, ConnectionLimits::default(), stop).await;
    drop(watched);
    server.finish().await;
    appending.cancel();
    // A panic of the appender was reported where it happened.
    let _ = appended.await;
    Ok(())
}

impl Options {
    /// The key, if this server relays.
    fn signing_key(&self) -> Result<Option<SecretKey>, Error> {
        match (self.role, &self.signing_key_file) {
            (ServerRole::Door, _) => Ok(None),
            (_, Some(file)) => Ok(Some(signing_key::load(file)?)),
            (_, None) => Err(Error::NoKey),
        }
    }

    fn slot(&self) -> Result<Slot, Error> {
        let (url, flag) = match &self.replication_url {
            Some(url) => (password::fill(url, self.replication_password_file.as_deref())?, "--replication-url"),
            None => (self.postgres.url()?, "--database-url"),
        };
        Ok(self.postgres.slot(&url, flag, self.slot.clone(), self.plain)?)
    }

    /// Says what this server is and what it was told, before anything is tried. No password or token is shown.
    fn log_start(&self, database: &Database, slot: &Slot, key: Option<&PublicKey>) {
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            role = ?self.role,
            http = %self.http.http,
            http_certificate = self.http.http_cert_file.as_ref().map(|file| file.display().to_string()),
            postgres = database.place(),
            user = database.user(),
            replication = slot.place(),
            replication_user = slot.user(),
            slot = slot.name(),
            nats = self.nats.shown_url(),
            nats_prefix = %self.nats.nats_prefix,
            nats_replicas = self.streams.nats_replicas,
            signing_key = key.map(|key| hex::encode(key.as_bytes())),
            bus_dir = self.bus.bus_dir.as_ref().map(|dir| dir.display().to_string()),
            "server starting"
        );
    }

    /// Says, where NATS has identities, that this server does not answer who may come in. A server with role `door` need not have the keys for
    /// it, if others have them; without any such server no node gets in.
    fn log_admission(&self, admission: &Admission) {
        if self.identity.nats_nkey_file.is_none() || self.nats.names_user() || admission.answerer.is_some() {
            return;
        }
        let bus_dir = self.bus.bus_dir.as_ref().map(|dir| dir.display().to_string());
        match self.role {
            ServerRole::Door => tracing::info!(
                bus_dir,
                "this server does not answer NATS who may come in, so another one has to (--bus-dir with answerer.nk and issuer.nk)"
            ),
            ServerRole::All | ServerRole::Reconciler => tracing::warn!(
                bus_dir,
                "this server can't answer NATS who may come in, and unless another one does no node gets in: give --bus-dir \
                 (HEADWATER_BUS_DIR), the folder of `headwater bus init` with answerer.nk and issuer.nk"
            ),
        }
    }
}

/// Folds the log. If it was changed, an HTTP API says so until somebody has put it right. Nothing if the server is stopped before.
async fn open_log(
    options: &Options,
    database: Database,
    link: &Link,
    certificate: Option<ServerCertificate>,
    stop: &CancellationToken,
) -> Result<Option<(Appender, Log)>, Error> {
    // In a task of its own: a fold that keeps its thread busy does not keep this one from seeing `stop`.
    let opening = AbortOnDropHandle::new(tokio::spawn(startup::open(database.clone())));
    let Some(opened) = stop.run_until_cancelled(opening).await else { return Ok(None) };
    match resume_panic(opened) {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if error.is_about_rows() => {
            let damaged = DamagedLog { database, link: link.clone(), prefix: options.nats.nats_prefix.clone() };
            let http = options.http.http;
            let unusable = |why| Error::Listen(http, why);
            let socket = HttpListener::bind(http, certificate).await.map_err(unusable)?;
            Ok(damaged.until_intact(error, socket, stop).await)
        }
        Err(error) => Err(error.into()),
    }
}

/// What the HTTP API needs of the other parts.
fn app_dependencies(
    server: &ServerTasks,
    relay: Option<RelayHandle>,
    published: PublishProgress,
    is_password_answered: bool,
    certificate: Option<ServerCertificate>,
    has_console: bool,
) -> AppDependencies {
    let ServerTasks { log, link, reports, stop, .. } = server;
    let (status, signature_wanted) = match relay {
        Some(relay) => (Some(relay.status), relay.signature_wanted),
        None => (None, Arc::default()),
    };
    let PublishProgress { position, pace } = published;
    let inputs = ReadinessInputs { log: log.clone(), reports: reports.clone(), link: link.clone() };
    let (shown, public, warned) = (status.clone(), position.clone(), log.clone());
    let shown_certificate = certificate.clone();
    AppDependencies {
        log: Arc::new(LogBackend::new(log.clone(), signature_wanted)),
        reports: reports.clone(),
        readiness: Arc::new(move || {
            let status = status.as_ref().map(|status| {
                let shown = status.borrow().clone();
                let ended = status.has_changed().err();
                let ended = ended.map(|_| "the relay has ended: this server has to be started again".to_owned());
                RelayStatus { fault: ended.or(shown.fault), ..shown }
            });
            // A server without a relay does its work whether or not another one publishes.
            let lag = status.as_ref().and_then(|_| pace.lag(*public.borrow()));
            inputs.reasons(status, lag)
        }),
        warnings: Arc::new(move || readiness::warnings(&warned, is_password_answered, shown_certificate.as_ref())),
        published: Arc::new(move || *position.borrow()),
        relay: Arc::new(move || shown.as_ref().map(|status| status.borrow().phase.name())),
        certificate,
        console: has_console,
        limits: HttpLimits::default(),
        closing: stop.clone(),
    }
}
