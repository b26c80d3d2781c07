//! Compression of answers for callers that accept gzip.
//!
//! Requests are never taken compressed: a few bytes of such a body can stand for a great many.

use axum::http::HeaderValue;
use axum::http::header::{CONTENT_ENCODING, ETAG};
use axum::response::Response;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};

/// Answers with fewer bytes are sent as they are: they fit into one packet in any case.
const BYTES_MIN: u16 = 1_024;

/// Compresses answers, but not live streams: an event must not wait in a compressor for the next one.
pub(super) fn layer() -> CompressionLayer<impl Predicate> {
    let worthwhile = SizeAbove::new(BYTES_MIN.into()).and(NotForContentType::SSE).and(NotForContentType::IMAGES);
    CompressionLayer::new().gzip(true).quality(CompressionLevel::Fastest).compress_when(worthwhile)
}

/// A compressed answer has other bytes than the tag names, so its tag is weak (RFC 9110, section 8.8.1).
pub(super) async fn weaken_tag(mut response: Response) -> Response {
    let headers = response.headers_mut();
    if headers.contains_key(CONTENT_ENCODING)
        && let Some(tag) = headers.get(ETAG).and_then(|tag| tag.to_str().ok()).filter(|tag| !tag.starts_with("W/"))
        && let Ok(weak) = HeaderValue::from_str(&format!("W/{tag}"))
    {
        headers.insert(ETAG, weak);
    }
    response
}
