//! What every live stream has in common: its permits, its messages as server-sent events, and when it ends.
//!
//! A stream ends when the server stops, or when the token that opened it is revoked or replaced. A stream whose peer does not read is never
//! polled and can't end by itself: its connection is aborted.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use api::error_code::ErrorCode;
use api::media_type::EVENT_STREAM;
use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt as _};
use schema::position::Position;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::http::auth::AuthenticatedState;
use crate::http::problem::ProblemResponse;

/// How often an idle stream sends a comment, so that the client can tell that it lives.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);
/// How long a stream may take to end by itself once its token is invalid.
const END_GRACE: Duration = Duration::from_millis(500);
/// A comment, which clients ignore.
pub(super) const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// A live stream of one caller. Dropping it gives the permits back.
pub(super) struct StreamSession {
    pub(super) app: AuthenticatedState,
    /// Cancelled when the token has become invalid.
    expired: CancellationToken,
    _expiry: AbortOnDropHandle<()>,
    _permits: [OwnedSemaphorePermit; 2],
}

/// What a stream waited for.
pub(super) enum StreamTurn<T> {
    /// It came.
    Next(T),
    /// It did not come yet, and a comment is due.
    Idle,
}

impl StreamSession {
    /// Takes the permits of a stream.
    pub(super) fn open(app: AuthenticatedState) -> Result<Self, ProblemResponse> {
        let permit = |permits: &Arc<Semaphore>| {
            Arc::clone(permits).try_acquire_owned().map_err(|_| {
                let detail = "too many live streams are open";
                ProblemResponse::new(ErrorCode::TooManyStreams, detail).retry_after(5)
            })
        };
        let permits = [permit(&app.caller.quota.streams)?, permit(app.streams())?];
        let expired = CancellationToken::new();
        let expiry = tokio::spawn(watch_token(app.clone(), expired.clone()));
        Ok(Self { app, expired, _expiry: AbortOnDropHandle::new(expiry), _permits: permits })
    }

    /// Whether the stream was told to end.
    pub(super) fn has_ended(&self) -> bool {
        self.app.closing().is_cancelled() || self.expired.is_cancelled()
    }

    /// Whether nothing may be sent that came since the last look. The token is looked up again, so that a caller does not even learn that it
    /// was revoked.
    pub(super) fn is_over(&self) -> bool {
        self.has_ended() || !self.app.token_is_valid()
    }

    /// Waits for `next`, which ends the stream with none; so do the end of the token and of the server.
    pub(super) async fn wait<T>(&self, next: impl Future<Output = Option<T>>) -> Option<StreamTurn<T>> {
        tokio::select! {
            next = next => next.map(StreamTurn::Next),
            () = sleep(KEEP_ALIVE_EVERY) => Some(StreamTurn::Idle),
            () = self.expired.cancelled() => None,
            () = self.app.closing().cancelled() => None,
        }
    }
}

/// Waits until the token is invalid, then ends the stream.
async fn watch_token(app: AuthenticatedState, expired: CancellationToken) {
    let mut heads = app.log().heads();
    while app.token_is_valid() {
        if heads.changed().await.is_err() {
            return;
        }
    }
    expired.cancel();
    sleep(END_GRACE).await;
    if let Some(connection) = &app.caller.connection {
        connection.abort();
    }
}

/// The answer that a stream of messages is.
pub(super) fn stream_response(messages: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let headers = [(CONTENT_TYPE, EVENT_STREAM), (CACHE_CONTROL, "no-cache")];
    (headers, Body::from_stream(messages.map(Ok::<_, Infallible>))).into_response()
}

/// A message: its id is the position that it holds for.
pub(super) fn message(position: Position, event: &str, data: &str) -> Bytes {
    let mut text = format!("id: {position}\nevent: {event}\n");
    // Stored JSON may have several lines, and each needs the field name of its own.
    for line in data.split(['\n', '\r']) {
        text.extend(["data: ", line, "\n"]);
    }
    text.push('\n');
    text.into()
}
