//! Answers whose bytes own a guard, such as a memory permit, for as long as they are in memory: until they were written to the
//! socket, or the connection broke.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};

/// A body whose bytes share a guard.
struct GuardedBody<G> {
    body: Body,
    guard: Arc<G>,
}

struct GuardedBytes<G> {
    bytes: Bytes,
    _guard: Arc<G>,
}

/// Ties `guard` to the body of a response and to all bytes of it.
pub(super) fn guard_body<G: Send + Sync + 'static>(response: Response, guard: G) -> Response {
    let guard = Arc::new(guard);
    response.map(|body| Body::new(GuardedBody { body, guard }))
}

/// Ties a shared guard to bytes.
pub(super) fn guard_bytes<G: Send + Sync + 'static>(bytes: Bytes, guard: &Arc<G>) -> Bytes {
    Bytes::from_owner(GuardedBytes { bytes, _guard: Arc::clone(guard) })
}

impl<G> AsRef<[u8]> for GuardedBytes<G> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<G: Send + Sync + 'static> hyper::body::Body for GuardedBody<G> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        frame.map_ok(|frame| frame.map_data(|bytes| guard_bytes(bytes, &self.guard)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
