//! What a good answer looks like: JSON or bytes, with the position that it holds for.

use axum::Json;
use axum::body::Bytes;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use schema::digest::Digest;
use schema::position::Position;
use serde::Serialize;

/// The position that an answer holds for.
const POSITION: HeaderName = HeaderName::from_static("headwater-position");

/// JSON that holds for a position.
pub(super) fn json(position: Position, body: impl Serialize) -> Response {
    at(position, Json(body))
}

/// Bytes that a digest names, as they are.
pub(super) struct File<'a> {
    /// What they are.
    pub(super) media_type: &'a str,
    /// Their name.
    pub(super) digest: Digest,
    /// How many there are.
    pub(super) size: u64,
}

impl File<'_> {
    /// Bytes of memory that reading them takes: as they come, and as they are served.
    pub(super) fn bytes_read(&self) -> usize {
        usize::try_from(self.size).unwrap_or(usize::MAX).saturating_mul(2)
    }

    /// Whether the caller has these bytes already.
    pub(super) fn is_known(&self, headers: &HeaderMap) -> bool {
        let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let mut tags = known.flat_map(|list| list.split(',')).map(str::trim);
        tags.any(|tag| tag == "*" || tag.trim_start_matches("W/") == self.tag())
    }

    /// The answer to a caller who has them.
    pub(super) fn not_modified(&self, position: Position) -> Response {
        at(position, (StatusCode::NOT_MODIFIED, [(ETAG, self.tag())]))
    }

    /// The answer to one who has not.
    pub(super) fn bytes(&self, position: Position, bytes: impl Into<Bytes>) -> Response {
        let media_type = HeaderValue::from_str(self.media_type);
        let media_type = media_type.unwrap_or(HeaderValue::from_static("application/octet-stream"));
        let mut response = at(position, ([(ETAG, self.tag())], bytes.into()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, media_type);
        // Somebody's configuration is not a page: nothing may guess at it, and no shared cache may keep it.
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        response
    }

    fn tag(&self) -> String {
        format!("\"{}\"", self.digest)
    }
}

fn at(position: Position, body: impl IntoResponse) -> Response {
    ([(POSITION, HeaderValue::from(position.get()))], body).into_response()
}
