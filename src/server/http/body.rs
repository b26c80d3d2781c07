//! Bodies: JSON, of bounded size, within bounded time and bounded memory.

use axum::body::{Body, BodyDataStream};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use schema::limit::BODY_BYTES_MAX;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::http::context::Door;
use crate::http::limits::overloaded;
use crate::http::problem::Problem;

/// Bytes of a body that are read to no purpose. A sender who is answered in the middle of a body would see a broken
/// connection instead of the answer, so what is moderately too large is let through to its end. Who announces more is answered at
/// once.
const WASTED_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;

/// A body, with the room that it takes until it is dropped.
pub(super) struct Held {
    /// The body.
    pub(super) bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl Door {
    /// Reads a JSON body.
    pub(super) async fn body(&self, headers: &HeaderMap, body: Body) -> Result<Held, Problem> {
        expect_json(headers)?;
        expect_unpacked(headers)?;
        let room = self.room(headers)?;
        match timeout(self.limits().body_time, read(body.into_data_stream())).await {
            Ok(bytes) => Ok(Held { bytes: bytes?, _room: room }),
            Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", "the body came too slowly")),
        }
    }

    /// Room for as much as the sender says, or for the most where nothing is said.
    fn room(&self, headers: &HeaderMap) -> Result<OwnedSemaphorePermit, Problem> {
        let said = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let bytes = said.map_or(BODY_BYTES_MAX, |said| usize::try_from(said).unwrap_or(usize::MAX));
        if bytes > WASTED_BYTES_MAX {
            return Err(too_large());
        }
        let bytes = bytes.min(BODY_BYTES_MAX);
        let kib = u32::try_from(bytes.div_ceil(1024)).expect("BUG: a body has at most 8 MiB");
        let room = self.bodies().clone().try_acquire_many_owned(kib);
        room.map_err(|_| overloaded("too many bodies are being read"))
    }
}

fn expect_json(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json")) {
        return Ok(());
    }
    let problem = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "send application/json");
    Err(problem.at("Content-Type"))
}

/// Nothing is unpacked here: a few bytes may stand for a great many.
fn expect_unpacked(headers: &HeaderMap) -> Result<(), Problem> {
    let coded =
        headers.get_all(CONTENT_ENCODING).iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if !coded {
        return Ok(());
    }
    let (status, detail) = (StatusCode::UNSUPPORTED_MEDIA_TYPE, "send the body as it is, without Content-Encoding");
    Err(Problem::new(status, "unsupported_content_encoding", detail).at("Content-Encoding"))
}

fn too_large() -> Problem {
    let detail = format!("a body has at most {BODY_BYTES_MAX} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}

async fn read(mut body: BodyDataStream) -> Result<Bytes, Problem> {
    let mut held = BytesMut::new();
    let mut length = 0_usize;
    while let Some(chunk) = body.next().await {
        let incomplete = |_| Problem::new(StatusCode::BAD_REQUEST, "incomplete_body", "the body broke off");
        let chunk = chunk.map_err(incomplete)?;
        length += chunk.len();
        if length <= BODY_BYTES_MAX {
            held.extend_from_slice(&chunk);
        } else if length <= WASTED_BYTES_MAX {
            held = BytesMut::new();
        } else {
            break;
        }
    }
    if length > BODY_BYTES_MAX {
        return Err(too_large());
    }
    Ok(held.freeze())
}
