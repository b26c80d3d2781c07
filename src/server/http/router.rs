//! The router: the operations of the catalogue, and the layers that every request passes on its way to one.

use std::collections::BTreeMap;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::ALLOW;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, options};
use tower_http::catch_panic::CatchPanicLayer;

use crate::http::answer_memory;
use crate::http::auth;
use crate::http::catalogue;
use crate::http::compression;
use crate::http::console;
use crate::http::openapi;
use crate::http::operation::Operation;
use crate::http::problem;
use crate::http::request_limits;
use crate::http::request_metrics;

pub use crate::http::context::{AppDependencies, AppState};
pub use crate::http::quota::HttpLimits;

/// Every route, and the console.
pub fn router(app: AppState) -> Router {
    let console = console::routes(app.has_console());
    with_layers(app, openapi::operations(), console)
}

/// The routes of a server that only relays: health and metrics.
pub fn monitoring_router(app: AppState) -> Router {
    with_layers(app, catalogue::monitoring(), Router::new())
}

fn with_layers(app: AppState, operations: Vec<Operation>, console: Router<AppState>) -> Router {
    let (inner, open): (Vec<_>, Vec<_>) = operations.into_iter().partition(|operation| operation.needs_token);
    let inner = routes(inner)
        .fallback(unknown_route)
        .layer(from_fn_with_state(app.clone(), answer_memory::reserve_for_answer))
        .layer(from_fn_with_state(app.clone(), auth::authenticate))
        .layer(from_fn_with_state(app.clone(), request_limits::limit_request));
    routes(open)
        .merge(console)
        .merge(inner)
        .layer(CatchPanicLayer::custom(problem::panic_response))
        .layer(from_fn(problem::convert_framework_errors))
        .layer(compression::layer())
        .layer(from_fn(compression::accept_gzip_or_nothing))
        .layer(from_fn(compression::weaken_tag))
        .layer(from_fn(request_metrics::count))
        .with_state(app)
}

/// A route for each path, which answers its methods, `HEAD` and `OPTIONS`, and names them to a request with another one.
fn routes(operations: Vec<Operation>) -> Router<AppState> {
    let mut paths = BTreeMap::<&str, (MethodRouter<AppState>, Vec<&str>)>::new();
    for operation in operations {
        let (route, methods) = paths.remove(operation.path).unwrap_or_default();
        let methods = [methods, methods_of(&operation)].concat();
        paths.insert(operation.path, (route.merge(operation.route), methods));
    }
    paths.into_iter().fold(Router::new(), |router, (path, (route, methods))| {
        let allow = [methods, vec!["OPTIONS"]].concat().join(", ");
        let answer = async move || (StatusCode::NO_CONTENT, [(ALLOW, allow)]);
        router.route(path, route.merge(options(answer)))
    })
}

fn methods_of(operation: &Operation) -> Vec<&'static str> {
    match operation.method.as_str() {
        "GET" => vec!["GET", "HEAD"],
        "POST" => vec!["POST"],
        other => unreachable!("BUG: no operation has method {other}"),
    }
}

async fn unknown_route() -> StatusCode {
    StatusCode::NOT_FOUND
}
