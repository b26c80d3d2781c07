//! Counts the answers, by route and status.

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;

/// Counts the answer once its head is there. A path that no route serves counts as `unknown`, so that callers can't make series.
pub(super) async fn count(request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    metrics::request_answered(path.as_ref().map_or("unknown", MatchedPath::as_str), response.status().as_u16());
    response
}
