//! Successful answers: JSON or a file, with the position that they hold for.

use axum::Json;
use axum::body::Bytes;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use schema::digest::Digest;
use schema::position::Position;
use serde::Serialize;

const POSITION: HeaderName = HeaderName::from_static(api::header::POSITION);

/// JSON of the state at a position.
pub(super) fn json(position: Position, body: impl Serialize) -> Response {
    with_position(position, Json(body))
}

/// A file, of which only the digest is known yet.
pub(super) struct File<'a> {
    pub(super) media_type: &'a str,
    pub(super) digest: Digest,
    /// In bytes.
    pub(super) size: u64,
}

impl File<'_> {
    /// Bytes of memory that serving the file takes: once as PostgreSQL sends it, and once as it is answered.
    pub(super) fn memory_bytes(&self) -> usize {
        usize::try_from(self.size).unwrap_or(usize::MAX).saturating_mul(2)
    }

    /// Whether `If-None-Match` says that the caller has the file already.
    pub(super) fn is_known(&self, headers: &HeaderMap) -> bool {
        let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let mut tags = known.flat_map(|list| list.split(',')).map(str::trim);
        tags.any(|tag| tag == "*" || tag.trim_start_matches("W/") == self.tag())
    }

    /// The answer to a caller that has the file.
    pub(super) fn not_modified(&self, position: Position) -> Response {
        with_position(position, (StatusCode::NOT_MODIFIED, [(ETAG, self.tag())]))
    }

    /// The answer to a caller that does not.
    pub(super) fn with_content(&self, position: Position, bytes: impl Into<Bytes>) -> Response {
        let media_type = HeaderValue::from_str(self.media_type);
        let media_type = media_type.unwrap_or(HeaderValue::from_static("application/octet-stream"));
        let mut response = with_position(position, ([(ETAG, self.tag())], bytes.into()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, media_type);
        // Configuration is no web page: a browser must not guess its type, and a shared cache must not keep it.
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        response
    }

    fn tag(&self) -> String {
        format!("\"{}\"", self.digest)
    }
}

fn with_position(position: Position, body: impl IntoResponse) -> Response {
    ([(POSITION, HeaderValue::from(position.get()))], body).into_response()
}

/// Whether the caller names a media type in `Accept`. Wildcards do not count: JSON is the default.
pub(super) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut ranges = accepted.flat_map(|list| list.split(',')).filter_map(|range| range.split(';').next());
    ranges.any(|range| range.trim().eq_ignore_ascii_case(media_type))
}
