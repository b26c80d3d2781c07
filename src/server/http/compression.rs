//! Compression of answers for callers that accept gzip.
//!
//! Requests are never taken compressed: a few bytes of such a body can stand for a great many.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tower::{Layer as _, ServiceExt as _};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};

/// Answers with fewer bytes are sent as they are: they fit into one packet in any case.
const BYTES_MIN: u16 = 1_024;

/// Compresses an answer for a caller that takes it so.
pub(super) async fn compress_answer(mut request: Request, next: Next) -> Response {
    let known: Vec<HeaderValue> = request.headers().get_all(IF_NONE_MATCH).iter().cloned().collect();
    leave_gzip_or_nothing(request.headers_mut());
    let Ok(response) = layer().layer(next).oneshot(request).await;
    weaken_tag(response.map(Body::new), &known)
}

/// Compresses answers, but not live streams: an event must not wait in a compressor for the next one.
fn layer() -> CompressionLayer<impl Predicate> {
    let worthwhile = SizeAbove::new(BYTES_MIN.into()).and(NotForContentType::SSE).and(NotForContentType::IMAGES);
    CompressionLayer::new().gzip(true).quality(CompressionLevel::Fastest).compress_when(worthwhile)
}

/// Leaves `gzip` or nothing of what a caller accepts. The compressing layer would answer 406 to a caller that accepts neither gzip
/// nor bytes as they are, and only after the request was worked on. RFC 9110, section 12.5.3, lets a server send bytes as they are.
fn leave_gzip_or_nothing(headers: &mut HeaderMap) {
    match accepts_gzip(headers) {
        true => headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip")),
        false => headers.remove(ACCEPT_ENCODING),
    };
}

/// Whether the caller takes gzip.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|list| list.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_ok_and(|weight| weight > 0.0)
    })
}

/// A compressed answer has other bytes than the tag names, so its tag is weak (RFC 9110, section 8.8.1). A caller that has such an
/// answer is told so under the tag that it knows.
fn weaken_tag(mut response: Response, known: &[HeaderValue]) -> Response {
    let Some(tag) = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok()).map(|tag| format!("W/{tag}")) else {
        return response;
    };
    let knows_weak = || known.iter().any(|known| known.to_str().is_ok_and(|known| known.contains(&tag)));
    let is_compressed = response.headers().contains_key(CONTENT_ENCODING);
    let is_weak = is_compressed || (response.status() == StatusCode::NOT_MODIFIED && knows_weak());
    if let (true, Ok(weak)) = (is_weak && !tag.starts_with("W/W/"), HeaderValue::from_str(&tag)) {
        response.headers_mut().insert(ETAG, weak);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_taken_by_who_names_it() {
        let table = [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=nonsense", false),
            ("*", false),
            ("identity;q=0", false),
            ("", false),
        ];
        for (text, takes) in table {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(text))]);
            assert_eq!(accepts_gzip(&headers), takes, "{text}");
        }
    }
}
