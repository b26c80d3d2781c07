//! Accepts connections, limits them, and ends them in an orderly way.
//!
//! A listener with a certificate speaks TLS only. A connection that sends no request, or too slowly, or does not read what it is sent, is closed. When the server stops,
//! requests in progress are finished within a bounded time, and live streams end at once.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tls::server_certificate::ServerCertificate;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::http::connections::{Connection, ConnectionPermit, Connections};
use crate::http::guarded_body::guard_body;
use crate::http::tls_handshake::{Handshake, HttpStream};
use crate::http::write_timeout::WriteTimeout;

pub use crate::http::connections::ConnectionLimits;

/// How long requests may go on after the server was told to stop: a little less than what process managers allow.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(8);
/// The pause after `accept` failed, which happens when the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Bytes that a connection buffers of a request's header or of an answer: many times the size of a header.
const BUFFER_BYTES: usize = 64 * 1024;

/// A bound socket, with a certificate if it speaks TLS.
#[derive(Debug)]
pub struct HttpListener {
    socket: TcpListener,
    certificate: Option<ServerCertificate>,
}

impl HttpListener {
    /// Binds a socket.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub async fn bind(address: SocketAddr, certificate: Option<ServerCertificate>) -> io::Result<Self> {
        Ok(Self { socket: TcpListener::bind(address).await?, certificate })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// If the operating system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// Serves until `closing` is cancelled and the requests in progress are finished, or given up.
pub async fn serve(listener: HttpListener, router: Router, limits: ConnectionLimits, closing: CancellationToken) {
    let connections = Connections::new(limits);
    let handshake = Handshake::new(listener.certificate.as_ref());
    let open = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = closing.cancelled() => break,
            accepted = listener.socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let permit = connections.admit().await;
                let (handshake, router, closing) = (handshake.clone(), router.clone(), closing.clone());
                open.spawn(open_connection(stream, handshake, permit, limits, router, closing));
            }
            Err(error) => {
                tracing::warn!(%error, "no connection could be accepted");
                connections.evict_one();
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    open.close();
    if timeout(SHUTDOWN_TIMEOUT, open.wait()).await.is_err() {
        tracing::warn!(left = open.len(), "HTTP server stopped before all connections had ended");
    }
}

/// Makes the handshake, if there is one, and serves what comes after it. The permit is held from the start.
async fn open_connection(
    stream: TcpStream,
    handshake: Handshake,
    permit: ConnectionPermit,
    limits: ConnectionLimits,
    router: Router,
    closing: CancellationToken,
) {
    // Nagle's algorithm could delay each small answer by 40 ms.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let opened = tokio::select! {
        // A plain connection is open at once, whatever else has happened.
        biased;
        opened = timeout(limits.handshake, handshake.accept(stream)) => opened,
        () = permit.0.aborted() => return tracing::debug!("connection closed by the server"),
        () = closing.cancelled() => return,
    };
    match opened {
        Ok(Ok(stream)) => serve_connection(stream, permit, limits, router, closing).await,
        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => tracing::debug!("connection closed: no TLS handshake in time"),
    }
}

async fn serve_connection(
    stream: HttpStream,
    permit: ConnectionPermit,
    limits: ConnectionLimits,
    router: Router,
    closing: CancellationToken,
) {
    let ConnectionPermit(connection) = &permit;
    let service = service_fn(|request| answer_request(router.clone(), connection.clone(), request));
    let mut http = http1::Builder::new();
    let http = http.timer(TokioTimer::new()).header_read_timeout(limits.header).max_buf_size(BUFFER_BYTES);
    let stream = TokioIo::new(WriteTimeout::new(stream, limits.stalled));
    let mut served = std::pin::pin!(http.serve_connection(stream, service));
    let no_request = async {
        if timeout(limits.first_header, connection.first_request()).await.is_ok() {
            pending::<()>().await;
        }
    };
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = connection.aborted() => return tracing::debug!("connection closed by the server"),
        () = no_request => return tracing::debug!("connection closed: no request in time"),
        () = closing.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended early");
    }
}

/// Lets the router answer; the request is in progress until the last byte of the answer was written.
async fn answer_request(
    router: Router,
    connection: Connection,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let in_progress = connection.begin_request();
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(connection);
    Ok(guard_body(router.oneshot(request).await?, in_progress))
}
