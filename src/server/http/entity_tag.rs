//! Entity tags (RFC 9110, section 8.8.3): the SHA-256 of the bytes.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use schema::digest::Digest;

/// `Cache-Control` of what has a tag: only the caller may keep it, because it needed a token, and asks each time.
pub(super) const ASK_AGAIN: HeaderValue = HeaderValue::from_static("private, no-cache");

/// The entity tag of bytes.
pub(super) fn tag_of(digest: Digest) -> String {
    format!("\"{digest}\"")
}

/// Whether `If-None-Match` names the tag. A tag is weak where the answer was compressed on its way.
pub(super) fn has_tag(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = known.flat_map(|list| list.split(',')).map(str::trim);
    tags.any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}

/// What a caller is told that has the answer already: the same headers and no body.
pub(super) fn not_modified(response: Response) -> Response {
    let (mut parts, _) = response.into_parts();
    parts.status = StatusCode::NOT_MODIFIED;
    parts.headers.remove(CONTENT_TYPE);
    Response::from_parts(parts, Body::empty())
}
