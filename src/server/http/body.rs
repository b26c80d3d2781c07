//! Request bodies: JSON, of bounded size, within bounded time and bounded memory.

use api::error_code::ErrorCode;
use api::media_type::JSON;
use axum::body::{Body, BodyDataStream};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use schema::limit::BODY_BYTES_MAX;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::http::context::AppState;
use crate::http::problem::ProblemResponse;
use crate::http::request_limits::overloaded;

/// Bytes of a body that is too large and is read all the same: a sender that is answered before the end of its body sees a broken
/// connection instead of the answer. A `Content-Length` above this is refused at once.
const DISCARDED_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;

/// A body, which holds its memory permit until it is dropped.
pub(super) struct ReceivedBody {
    pub(super) bytes: Bytes,
    _memory: OwnedSemaphorePermit,
}

impl AppState {
    /// Reads a JSON body.
    pub(super) async fn read_body(&self, headers: &HeaderMap, body: Body) -> Result<ReceivedBody, ProblemResponse> {
        expect_json(headers)?;
        expect_uncompressed(headers)?;
        let memory = self.reserve_for_body(headers)?;
        match timeout(self.limits().body_time, read(body.into_data_stream())).await {
            Ok(bytes) => Ok(ReceivedBody { bytes: bytes?, _memory: memory }),
            Err(_) => Err(ProblemResponse::new(ErrorCode::BodyTimeout, "the body came too slowly")),
        }
    }

    /// Memory for `Content-Length` bytes, or for the largest body where that header is missing.
    fn reserve_for_body(&self, headers: &HeaderMap) -> Result<OwnedSemaphorePermit, ProblemResponse> {
        let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let bytes = announced.map_or(BODY_BYTES_MAX, |length| usize::try_from(length).unwrap_or(usize::MAX));
        if bytes > DISCARDED_BYTES_MAX {
            return Err(too_large());
        }
        let bytes = bytes.min(BODY_BYTES_MAX);
        let kib = u32::try_from(bytes.div_ceil(1024)).expect("BUG: a body has at most 8 MiB");
        let permit = self.body_kib().clone().try_acquire_many_owned(kib);
        permit.map_err(|_| overloaded("too many bodies are being read"))
    }
}

fn expect_json(headers: &HeaderMap) -> Result<(), ProblemResponse> {
    let media_type = headers.get(CONTENT_TYPE).and_then(|media_type| media_type.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if media_type == JSON || (media_type.starts_with("application/") && media_type.ends_with("+json")) {
        return Ok(());
    }
    let problem = ProblemResponse::new(ErrorCode::UnsupportedMediaType, "send application/json");
    Err(problem.in_field("Content-Type"))
}

/// Refuses compressed bodies: a few bytes of one can stand for a great many.
fn expect_uncompressed(headers: &HeaderMap) -> Result<(), ProblemResponse> {
    let is_compressed =
        headers.get_all(CONTENT_ENCODING).iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if !is_compressed {
        return Ok(());
    }
    let detail = "send the body as it is, without Content-Encoding";
    Err(ProblemResponse::new(ErrorCode::UnsupportedContentEncoding, detail).in_field("Content-Encoding"))
}

fn too_large() -> ProblemResponse {
    let detail = format!("a body has at most {BODY_BYTES_MAX} bytes");
    ProblemResponse::new(ErrorCode::BodyTooLarge, detail)
}

async fn read(mut body: BodyDataStream) -> Result<Bytes, ProblemResponse> {
    let mut received = BytesMut::new();
    let mut length = 0_usize;
    while let Some(chunk) = body.next().await {
        let incomplete = |_| ProblemResponse::new(ErrorCode::IncompleteBody, "the body broke off");
        let chunk = chunk.map_err(incomplete)?;
        length += chunk.len();
        if length <= BODY_BYTES_MAX {
            received.extend_from_slice(&chunk);
        } else if length <= DISCARDED_BYTES_MAX {
            received = BytesMut::new();
        } else {
            break;
        }
    }
    if length > BODY_BYTES_MAX {
        return Err(too_large());
    }
    Ok(received.freeze())
}
