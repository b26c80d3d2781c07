//! What all requests share: the parts that the caller of [`router`](super::router::router) brings, and the limits on their use.

use std::convert::Infallible;
use std::sync::Arc;

use api::health::HealthCondition;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use schema::id::PrincipalName;
use schema::position::Position;
use tls::server_certificate::ServerCertificate;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::event_log::EventLog;
use crate::fleet::listener::ReportListener;
use crate::http::digest_cache::RecordDigestCache;
use crate::http::fleet_feed::FleetFeed;
use crate::http::quota::{HttpLimits, Quota, Quotas};

/// What the HTTP server needs of the rest of the process.
#[derive(Clone)]
pub struct AppDependencies {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The reports of nodes, as they were heard last.
    pub reports: ReportListener,
    /// The parts that keep the server from its work; none if it is ready.
    pub readiness: Arc<dyn Fn() -> Vec<HealthCondition> + Send + Sync>,
    /// What an operator should know although the server is ready.
    pub warnings: Arc<dyn Fn() -> Vec<HealthCondition> + Send + Sync>,
    /// The last published position, if it is known.
    pub published: Arc<dyn Fn() -> Option<Position> + Send + Sync>,
    /// The phase of this server's relay, in one word; none if it runs no relay.
    pub relay: Arc<dyn Fn() -> Option<&'static str> + Send + Sync>,
    /// The certificate of this server, if it speaks TLS.
    pub certificate: Option<ServerCertificate>,
    /// Whether the console is served.
    pub console: bool,
    /// What callers may use at once.
    pub limits: HttpLimits,
    /// Cancelled when the server stops: live streams end then.
    pub closing: CancellationToken,
}

/// The state that every handler gets. Cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<SharedState>);

struct SharedState {
    dependencies: AppDependencies,
    digests: RecordDigestCache,
    fleet_feed: FleetFeed,
    requests: Semaphore,
    streams: Arc<Semaphore>,
    body_kib: Arc<Semaphore>,
    answer_kib: Arc<Semaphore>,
    quotas: Quotas,
    questions: Arc<Semaphore>,
}

impl From<AppDependencies> for AppState {
    fn from(dependencies: AppDependencies) -> Self {
        let limits = dependencies.limits;
        Self(Arc::new(SharedState {
            dependencies,
            digests: RecordDigestCache::default(),
            fleet_feed: FleetFeed::default(),
            requests: Semaphore::new(limits.requests),
            streams: Arc::new(Semaphore::new(limits.streams)),
            body_kib: Arc::new(Semaphore::new(limits.bodies_kib)),
            answer_kib: Arc::new(Semaphore::new(limits.answers_kib)),
            quotas: Quotas::default(),
            questions: Arc::new(Semaphore::new(limits.questions)),
        }))
    }
}

impl FromRequestParts<Self> for AppState {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, app: &Self) -> Result<Self, Infallible> {
        Ok(app.clone())
    }
}

impl AppState {
    pub(super) fn log(&self) -> &dyn EventLog {
        &*self.0.dependencies.log
    }

    pub(super) fn reports(&self) -> &ReportListener {
        &self.0.dependencies.reports
    }

    pub(super) fn readiness(&self) -> Vec<HealthCondition> {
        (self.0.dependencies.readiness)()
    }

    pub(super) fn warnings(&self) -> Vec<HealthCondition> {
        (self.0.dependencies.warnings)()
    }

    pub(super) fn published(&self) -> Option<Position> {
        (self.0.dependencies.published)()
    }

    pub(super) fn relay(&self) -> Option<&'static str> {
        (self.0.dependencies.relay)()
    }

    pub(super) fn certificate(&self) -> Option<&ServerCertificate> {
        self.0.dependencies.certificate.as_ref()
    }

    pub(super) fn has_console(&self) -> bool {
        self.0.dependencies.console
    }

    pub(super) fn limits(&self) -> &HttpLimits {
        &self.0.dependencies.limits
    }

    pub(super) fn closing(&self) -> &CancellationToken {
        &self.0.dependencies.closing
    }

    pub(super) fn digests(&self) -> &RecordDigestCache {
        &self.0.digests
    }

    pub(super) fn fleet_feed(&self) -> &FleetFeed {
        &self.0.fleet_feed
    }

    /// A permit for each request in progress.
    pub(super) fn requests(&self) -> &Semaphore {
        &self.0.requests
    }

    /// A permit for each live stream.
    pub(super) fn streams(&self) -> &Arc<Semaphore> {
        &self.0.streams
    }

    /// A permit for each expensive query.
    pub(super) fn questions(&self) -> &Arc<Semaphore> {
        &self.0.questions
    }

    /// A permit for each KiB of answers in memory.
    pub(super) fn answer_kib(&self) -> &Arc<Semaphore> {
        &self.0.answer_kib
    }

    /// A permit for each KiB of bodies in memory.
    pub(super) fn body_kib(&self) -> &Arc<Semaphore> {
        &self.0.body_kib
    }

    pub(super) fn quota(&self, name: &PrincipalName) -> Arc<Quota> {
        self.0.quotas.of(name, self.limits())
    }
}
