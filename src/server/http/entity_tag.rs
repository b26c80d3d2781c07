//! Entity tags (RFC 9110, section 8.8.3): the SHA-256 of the bytes.

use axum::http::HeaderMap;
use axum::http::header::IF_NONE_MATCH;
use schema::digest::Digest;

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
