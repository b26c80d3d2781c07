//! The routes, and the layers that every request passes on its way to one.

use api::error_code::ErrorCode;
use api::path::{COMMANDS, EVENTS, LOG, PRINCIPALS, READY};
use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use schema::compliance::{AssessmentDefined, AttestationDefined, ComponentDefined, ControlDefined};
use tower_http::catch_panic::CatchPanicLayer;

use crate::http::answer_memory;
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
use crate::http::log;
use crate::http::metrics;
use crate::http::nodes;
use crate::http::principals;
use crate::http::problem;
use crate::http::problem::ProblemResponse;
use crate::http::proof;
use crate::http::request_limits;
use crate::http::versions;
use crate::http::why;

pub use crate::http::context::{AppDependencies, AppState, HealthCondition};
pub use crate::http::quota::HttpLimits;

/// Collections whose names are taken for a later version.
const NOT_YET: [&str; 1] = ["proposals"];

/// Every route.
pub fn router(app: AppState) -> Router {
    let mut inner = monitoring_routes()
        .route(COMMANDS, post(commands::post))
        .route("/v1/documents", get(documents::list))
        .route("/v1/documents/{id}", get(documents::one))
        .route("/v1/documents/{id}/content", get(documents::content))
        .route("/v1/documents/{id}/versions", get(versions::list))
        .route("/v1/nodes", get(nodes::list))
        .route("/v1/nodes/{id}", get(nodes::one))
        .route("/v1/nodes/{id}/files/{*path}", get(files::one))
        .route(PRINCIPALS, get(principals::list))
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
        .route("/v1/fleet", get(fleet::show))
        .route(EVENTS, get(events::list))
        .route(LOG, get(log::show))
        .route("/v1/log/checkpoint", get(proof::checkpoint))
        .route("/v1/log/proof/inclusion/{position}", get(proof::inclusion))
        .route("/v1/log/proof/consistency", get(proof::consistency));
    for kind in NOT_YET {
        inner = inner.route(&format!("/v1/{kind}"), get(not_yet)).route(&format!("/v1/{kind}/{{id}}"), get(not_yet));
    }
    with_layers(app, inner)
}

/// The routes of a server that only relays: health and metrics.
pub fn monitoring_router(app: AppState) -> Router {
    with_layers(app, monitoring_routes())
}

/// The routes that every server has behind its tokens.
fn monitoring_routes() -> Router<AppState> {
    Router::new().route("/metrics", get(metrics::show))
}

fn with_layers(app: AppState, inner: Router<AppState>) -> Router {
    let inner = inner
        .fallback(unknown_route)
        .layer(from_fn_with_state(app.clone(), answer_memory::reserve_for_answer))
        .layer(from_fn_with_state(app.clone(), auth::authenticate))
        .layer(from_fn_with_state(app.clone(), request_limits::limit_request));
    Router::new()
        .route("/healthz", get(health::alive))
        .route(READY, get(health::ready))
        .merge(inner)
        .layer(CatchPanicLayer::custom(problem::panic_response))
        .layer(from_fn(problem::convert_framework_errors))
        .with_state(app)
}

async fn unknown_route() -> StatusCode {
    StatusCode::NOT_FOUND
}

async fn not_yet() -> ProblemResponse {
    ProblemResponse::new(ErrorCode::NotAvailableYet, "this part of Headwater is not available yet")
}
