//! Connections: taken in, bounded, and let go of in good order.
//!
//! A connection that says nothing, or says it too slowly, is closed; when the door closes, requests that are being worked
//! on are finished within a bounded time, and live streams end at once.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a connection may take to say what it wants, also between two requests. Longer than clients keep idle
/// connections by default would keep dead ones for nothing; much shorter would close those that are about to be used.
const HEADER_TIME: Duration = Duration::from_secs(75);
/// Connections at once: all requests and live streams, and as many that are idle.
const CONNECTIONS_MAX: usize = 4_096;
/// How long requests may go on after the door was told to close: a little less than what process managers allow.
const CLOSING_TIME: Duration = Duration::from_secs(8);
/// The rest after the system could take no connection in, which is when its file descriptors are used up.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Serves until `closing` is cancelled and what was begun is finished, or given up.
pub async fn serve(listener: TcpListener, router: Router, closing: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let open = TaskTracker::new();
    while let Some((stream, place)) = next(&listener, &places, &closing).await {
        let connection = converse(stream, router.clone(), closing.clone());
        open.spawn(async move {
            connection.await;
            drop(place);
        });
    }
    open.close();
    if timeout(CLOSING_TIME, open.wait()).await.is_err() {
        tracing::warn!(left = open.len(), "the door closes on connections that did not finish");
    }
}

async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    closing: &CancellationToken,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let accept = async {
        let place = places.clone().acquire_owned().await.expect("BUG: places are never closed");
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return (stream, place),
                Err(error) => {
                    tracing::warn!(%error, "no connection could be taken in");
                    sleep(ACCEPT_REST).await;
                }
            }
        }
    };
    tokio::select! {
        () = closing.cancelled() => None,
        accepted = accept => Some(accepted),
    }
}

async fn converse(stream: TcpStream, router: Router, closing: CancellationToken) {
    // Answers are small and wait for nothing: without this each could be held back by 40 ms.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the connection is slower than it could be");
    }
    let service = TowerToHyperService::new(router);
    let mut http = http1::Builder::new();
    let http = http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME);
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
