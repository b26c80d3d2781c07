//! Answers to a position: they are the same as long as the log is, so that a caller can ask whether it has the answer already.
//!
//! Such an answer is still asked for each time. A log that was put back to an earlier state gets other events at positions that it
//! had before, and a newer program may show more of the same state.

use axum::body::{Body, to_bytes};
use axum::http::header::{CACHE_CONTROL, ETAG};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use program::tasks::run_blocking;
use schema::digest::Digest;

use crate::http::entity_tag::{ASK_AGAIN, has_tag, not_modified, tag_of};

/// Bodies from this size on are hashed on a blocking thread: a MiB takes about a millisecond.
const LARGE_BODY_BYTES: usize = 256 * 1024;

/// The answer with its tag, or that the caller has it already.
pub(super) async fn conditional(response: Response, headers: &HeaderMap) -> Response {
    if response.status() != StatusCode::OK || response.headers().contains_key(ETAG) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // All bodies of such answers are in memory as a whole, and their sizes are limited where they are made.
    let bytes = to_bytes(body, usize::MAX).await.expect("BUG: the body of an answer to a position is in memory");
    let digest = match bytes.len() {
        LARGE_BODY_BYTES.. => {
            let bytes = bytes.clone();
            run_blocking(move || Digest::of(&bytes)).await
        }
        _ => Digest::of(&bytes),
    };
    let tag = tag_of(digest);
    parts.headers.insert(ETAG, HeaderValue::from_str(&tag).expect("BUG: a tag is hexadecimal digits"));
    parts.headers.insert(CACHE_CONTROL, ASK_AGAIN);
    let response = Response::from_parts(parts, Body::from(bytes));
    if has_tag(headers, &tag) { not_modified(response) } else { response }
}
