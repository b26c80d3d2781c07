//! Counts the answers, by route and status.

use axum::extract::MatchedPath;
use axum::response::Response;

/// Counts an answer whose head is there. A path that no route serves counts as `unknown`, so that callers can't make series.
pub(super) fn count(path: Option<&MatchedPath>, response: &Response) {
    metrics::request_answered(path.map_or("unknown", MatchedPath::as_str), response.status().as_u16());
}
