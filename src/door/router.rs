//! The routes, and what every request passes on its way to one.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use schema::compliance::{AssessmentDefined, AttestationDefined, ComponentDefined, ControlDefined};
use schema::position::Position;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use super::digests::Digests;
use super::hearing::Ears;
use super::problem::Problem;
use super::source::Source;
use super::{
    auth, commands, compliance, coverage, documents, events, files, fleet, health, jobs, limits, log, nodes,
    principals, problem, proof, versions,
};

pub use super::limits::Limits;

/// A part that is not ready, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Which part.
    pub part: String,
    /// One sentence.
    pub reason: String,
}

/// What a door is made of. Whoever opens it brings all of these.
#[derive(Clone)]
pub struct Fittings {
    /// The log.
    pub source: Arc<dyn Source>,
    /// What nodes say.
    pub ears: Ears,
    /// What is not ready; nothing if all is.
    pub readiness: Arc<dyn Fn() -> Vec<Reason> + Send + Sync>,
    /// The last position that is published, if that is known.
    pub published: Arc<dyn Fn() -> Option<Position> + Send + Sync>,
    /// What this server's relay does, in one word; nothing if it has none.
    pub relay: Arc<dyn Fn() -> Option<&'static str> + Send + Sync>,
    /// What callers may spend.
    pub limits: Limits,
    /// Cancelled when the door closes: live streams end then.
    pub closing: CancellationToken,
}

/// An open door. Cheap to clone.
#[derive(Clone)]
pub struct Door(Arc<Inside>);

struct Inside {
    fittings: Fittings,
    digests: Digests,
    requests: Semaphore,
    streams: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
}

impl From<Fittings> for Door {
    fn from(fittings: Fittings) -> Self {
        let limits = fittings.limits;
        Self(Arc::new(Inside {
            fittings,
            digests: Digests::default(),
            requests: Semaphore::new(limits.requests),
            streams: Arc::new(Semaphore::new(limits.streams)),
            bodies: Arc::new(Semaphore::new(limits.bodies_kib)),
        }))
    }
}

impl Door {
    /// The log.
    pub(super) fn source(&self) -> &dyn Source {
        &*self.0.fittings.source
    }

    /// What nodes say.
    pub(super) fn ears(&self) -> &Ears {
        &self.0.fittings.ears
    }

    /// What is not ready.
    pub(super) fn readiness(&self) -> Vec<Reason> {
        (self.0.fittings.readiness)()
    }

    /// The last position that is published.
    pub(super) fn published(&self) -> Option<Position> {
        (self.0.fittings.published)()
    }

    /// What this server's relay does.
    pub(super) fn relay(&self) -> Option<&'static str> {
        (self.0.fittings.relay)()
    }

    /// What callers may spend.
    pub(super) fn limits(&self) -> &Limits {
        &self.0.fittings.limits
    }

    /// Cancelled when the door closes.
    pub(super) fn closing(&self) -> &CancellationToken {
        &self.0.fittings.closing
    }

    /// Digests of desired records.
    pub(super) fn digests(&self) -> &Digests {
        &self.0.digests
    }

    /// Places for requests.
    pub(super) fn requests(&self) -> &Semaphore {
        &self.0.requests
    }

    /// Places for live streams.
    pub(super) fn streams(&self) -> &Arc<Semaphore> {
        &self.0.streams
    }

    /// Kibibytes for bodies.
    pub(super) fn bodies(&self) -> &Arc<Semaphore> {
        &self.0.bodies
    }
}

/// Collections that the contract names and that are not there yet.
const NOT_YET: [&str; 1] = ["proposals"];

/// The whole door as one service.
pub fn router(door: Door) -> Router {
    let mut inner = Router::new()
        .route("/v1/commands", post(commands::post))
        .route("/v1/documents", get(documents::list))
        .route("/v1/documents/{id}", get(documents::one))
        .route("/v1/documents/{id}/content", get(documents::content))
        .route("/v1/documents/{id}/versions", get(versions::list))
        .route("/v1/nodes", get(nodes::list))
        .route("/v1/nodes/{id}", get(nodes::one))
        .route("/v1/nodes/{id}/files/{*path}", get(files::one))
        .route("/v1/principals", get(principals::list))
        .route("/v1/principals/{id}", get(principals::one))
        .route("/v1/controls", get(compliance::list::<ControlDefined>))
        .route("/v1/controls/{id}", get(compliance::one::<ControlDefined>))
        .route("/v1/components", get(compliance::list::<ComponentDefined>))
        .route("/v1/components/{id}", get(compliance::one::<ComponentDefined>))
        .route("/v1/assessments", get(compliance::list::<AssessmentDefined>))
        .route("/v1/assessments/{id}", get(compliance::one::<AssessmentDefined>))
        .route("/v1/attestations", get(compliance::list::<AttestationDefined>))
        .route("/v1/attestations/{id}", get(compliance::one::<AttestationDefined>))
        .route("/v1/jobs", get(jobs::list))
        .route("/v1/jobs/{id}", get(jobs::one))
        .route("/v1/coverage", get(coverage::show))
        .route("/v1/fleet", get(fleet::counts))
        .route("/v1/events", get(events::list))
        .route("/v1/log", get(log::show))
        .route("/v1/log/checkpoint", get(proof::checkpoint))
        .route("/v1/log/proof/inclusion/{position}", get(proof::inclusion))
        .route("/v1/log/proof/consistency", get(proof::consistency));
    for kind in NOT_YET {
        inner = inner.route(&format!("/v1/{kind}"), get(not_yet)).route(&format!("/v1/{kind}/{{id}}"), get(not_yet));
    }
    let inner = inner
        .fallback(nowhere)
        .layer(from_fn_with_state(door.clone(), auth::admit))
        .layer(from_fn_with_state(door.clone(), limits::keep));
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .merge(inner)
        .layer(CatchPanicLayer::custom(problem::panicked))
        .layer(from_fn(problem::nothing_else))
        .with_state(door)
}

async fn nowhere() -> StatusCode {
    StatusCode::NOT_FOUND
}

async fn not_yet() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_available_yet", "this part of Headwater is not available yet")
}
