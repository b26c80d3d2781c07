//! The router: the operations of the catalogue, and the layers that every request passes on its way to one.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::http::header::ALLOW;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodRouter, options};

use crate::http::answer_memory;
use crate::http::auth::{self, Caller};
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
    let inner = routes(inner).fallback(unknown_route).layer(from_fn_with_state(app.clone(), around_authenticated));
    routes(open)
        .merge(console)
        .merge(inner)
        .layer(from_fn(problem::convert_framework_errors))
        .layer(from_fn(around_all))
        .with_state(app)
}

// Each layer of axum costs a request some allocations, so that what belongs together is one layer.

/// What is done for every request.
async fn around_all(request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let response = compression::compress_answer(request, next).await;
    request_metrics::count(path.as_ref(), &response);
    response
}

/// What is done for a request that needs a token.
async fn around_authenticated(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let answering = async |request: Request, caller: Caller| {
        let method = request.method().clone();
        answer_memory::reserve_for_answer(&app, &caller, &method, next.run(request).await)
    };
    request_limits::limit_request(&app, auth::authenticate(&app, request, answering)).await
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
