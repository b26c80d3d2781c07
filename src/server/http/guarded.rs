//! Bytes of answers that hold something for as long as they are in memory: until they were given to the socket, or the
//! connection broke.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};

/// A body whose bytes hold a guard.
struct Guarded<G> {
    body: Body,
    guard: Arc<G>,
}

/// Bytes with their guard.
struct Held<G> {
    bytes: Bytes,
    _guard: Arc<G>,
}

/// The response, whose body and bytes hold `guard`.
pub(super) fn guarded<G: Send + Sync + 'static>(response: Response, guard: G) -> Response {
    let guard = Arc::new(guard);
    response.map(|body| Body::new(Guarded { body, guard }))
}

/// The bytes, which hold `guard`.
pub(super) fn holding<G: Send + Sync + 'static>(bytes: Bytes, guard: &Arc<G>) -> Bytes {
    Bytes::from_owner(Held { bytes, _guard: Arc::clone(guard) })
}

impl<G> AsRef<[u8]> for Held<G> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<G: Send + Sync + 'static> hyper::body::Body for Guarded<G> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        frame.map_ok(|frame| frame.map_data(|bytes| holding(bytes, &self.guard)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
