//! The routes, and what every request passes on its way to one.

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use schema::compliance::{AssessmentDefined, AttestationDefined, ComponentDefined, ControlDefined};
use tower_http::catch_panic::CatchPanicLayer;

use crate::http::auth;
use crate::http::commands;
use crate::http::compliance;
use crate::http::coverage;
use crate::http::documents;
use crate::http::events;
use crate::http::files;
use crate::http::fleet;
use crate::http::health;
use crate::http::impact;
use crate::http::jobs;
use crate::http::limits;
use crate::http::log;
use crate::http::metrics;
use crate::http::nodes;
use crate::http::principals;
use crate::http::problem;
use crate::http::problem::Problem;
use crate::http::proof;
use crate::http::room;
use crate::http::versions;
use crate::http::why;

pub use crate::http::account::Limits;
pub use crate::http::context::{Door, Fittings, Reason};

/// Collections that the contract names and that are not there yet.
const NOT_YET: [&str; 1] = ["proposals"];

/// The whole door as one service.
pub fn router(door: Door) -> Router {
    let mut inner = watched()
        .route(auth::COMMANDS, post(commands::post))
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
        .route("/v1/why/nodes/{id}/{*path}", get(why::file))
        .route("/v1/why/jobs/{id}", get(why::job))
        .route("/v1/impact/{command_id}", get(impact::show))
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
    enclosed(door, inner)
}

/// What there is to know of a server that has no door: whether it is well, and its figures.
pub fn watch(door: Door) -> Router {
    enclosed(door, watched())
}

/// What every server has behind its tokens.
fn watched() -> Router<Door> {
    Router::new().route("/metrics", get(metrics::show))
}

fn enclosed(door: Door, inner: Router<Door>) -> Router {
    let inner = inner
        .fallback(nowhere)
        .layer(from_fn_with_state(door.clone(), room::count))
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
