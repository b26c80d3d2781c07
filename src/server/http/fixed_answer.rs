//! Answers that never change, because the request names the position that they hold for: a client keeps them, and asks again only
//! whether it has them.

use axum::body::{Body, to_bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use schema::digest::Digest;

use crate::http::entity_tag::{has_tag, tag_of};

/// Keep it for a day: a newer program may show more of the same state. Only the caller may keep it, because it needed a token.
const CACHE_FOR_A_DAY: HeaderValue = HeaderValue::from_static("private, max-age=86400, immutable");

/// The answer with its tag, or that the caller has it already.
pub(super) async fn conditional(response: Response, headers: &HeaderMap) -> Response {
    if response.status() != StatusCode::OK {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    parts.headers.insert(CACHE_CONTROL, CACHE_FOR_A_DAY);
    if parts.headers.contains_key(ETAG) {
        return Response::from_parts(parts, body);
    }
    // All bodies of such answers are in memory as a whole, and their sizes are limited where they are made.
    let bytes = to_bytes(body, usize::MAX).await.expect("BUG: the body of an answer to a position is in memory");
    let tag = tag_of(Digest::of(&bytes));
    let is_known = has_tag(headers, &tag);
    parts.headers.insert(ETAG, HeaderValue::from_str(&tag).expect("BUG: a tag is hexadecimal digits"));
    if !is_known {
        return Response::from_parts(parts, Body::from(bytes));
    }
    parts.status = StatusCode::NOT_MODIFIED;
    parts.headers.remove(CONTENT_TYPE);
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::empty())
}
