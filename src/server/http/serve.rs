//! Connections: taken in, bounded, and let go of in good order.
//!
//! A connection that says nothing, says it too slowly, or takes nothing of what it is sent, is closed; when the door closes,
//! requests that are being worked on are finished within a bounded time, and live streams end at once.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::http::connections::{Connection, Connections, Place};
use crate::http::guarded::guarded;
use crate::http::stall::Stalling;

pub use crate::http::connections::ConnectionLimits;

/// How long requests may go on after the door was told to close: a little less than what process managers allow.
const CLOSING_TIME: Duration = Duration::from_secs(8);
/// The rest after the system could take no connection in, which is when its file descriptors are used up.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// Bytes that a connection holds of a header or of what it is to send, beside one piece of an answer: many times what a
/// client's header has.
const BUFFER_BYTES: usize = 64 * 1024;

/// Serves until `closing` is cancelled and what was begun is finished, or given up.
pub async fn serve(listener: TcpListener, router: Router, limits: ConnectionLimits, closing: CancellationToken) {
    let connections = Connections::new(limits);
    let open = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = closing.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let place = connections.take_in().await;
                open.spawn(converse(stream, place, limits, router.clone(), closing.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "no connection could be taken in");
                connections.make_room();
                sleep(ACCEPT_REST).await;
            }
        }
    }
    open.close();
    if timeout(CLOSING_TIME, open.wait()).await.is_err() {
        tracing::warn!(left = open.len(), "the door closes on connections that did not finish");
    }
}

async fn converse(
    stream: TcpStream,
    place: Place,
    limits: ConnectionLimits,
    router: Router,
    closing: CancellationToken,
) {
    // Answers are small and wait for nothing: without this each could be held back by 40 ms.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the connection is slower than it could be");
    }
    let Place(connection) = &place;
    let service = service_fn(|request| answer(router.clone(), connection.clone(), request));
    let mut http = http1::Builder::new();
    let http = http.timer(TokioTimer::new()).header_read_timeout(limits.header).max_buf_size(BUFFER_BYTES);
    let stream = TokioIo::new(Stalling::new(stream, limits.stalled));
    let mut served = std::pin::pin!(http.serve_connection(stream, service));
    let silent = async {
        if timeout(limits.first_header, connection.asked()).await.is_ok() {
            pending::<()>().await;
        }
    };
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = connection.gone() => return tracing::debug!("a connection gave way or was broken off"),
        () = silent => return tracing::debug!("a connection asked nothing in time"),
        () = closing.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Lets the router answer, as work of the connection.
async fn answer(router: Router, connection: Connection, request: Request<Incoming>) -> Result<Response, Infallible> {
    let work = connection.begin();
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(connection);
    Ok(guarded(router.oneshot(request).await?, work))
}
