//! The TLS handshake of a new connection, where the listener has a certificate.
//!
//! A caller that speaks plain HTTP to it gets an answer that says so, in plain: else all that it saw would be a closed connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tls::server_certificate::ServerCertificate;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

/// The only protocol that is spoken over TLS (ALPN).
const PROTOCOL: &str = "http/1.1";
/// The first byte of every TLS handshake.
const HANDSHAKE_RECORD: u8 = 22;
/// The answer to a plain request.
const PLAIN_ANSWER: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nConnection: close\r\n\r\n\
    {\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400,\"code\":\"tls_required\",\
    \"detail\":\"this port speaks TLS: use https://\"}\n";
/// How long, and how much of, a plain request is read after its answer: closing before that could take the answer back.
const PLAIN_REST_WITHIN: Duration = Duration::from_millis(500);
const PLAIN_REST_BYTES: u64 = 64 * 1024;

/// A connection, encrypted or not.
pub(super) type HttpStream = Either<TcpStream, TlsStream<TcpStream>>;

/// What a new connection has to do first. Cheap to clone.
#[derive(Clone)]
pub(super) struct Handshake(Option<TlsAcceptor>);

impl Handshake {
    /// A handshake that shows this certificate; none without a certificate.
    pub(super) fn new(certificate: Option<&ServerCertificate>) -> Self {
        Self(certificate.map(|certificate| TlsAcceptor::from(Arc::new(certificate.server_config(&[PROTOCOL])))))
    }

    /// Makes the handshake.
    ///
    /// # Errors
    /// If the caller does not speak TLS, or not so that it could be understood.
    pub(super) async fn accept(&self, mut stream: TcpStream) -> io::Result<HttpStream> {
        let Some(acceptor) = &self.0 else { return Ok(Either::Left(stream)) };
        let mut first = [0];
        if stream.peek(&mut first).await? > 0 && first[0] != HANDSHAKE_RECORD {
            refuse_plain(&mut stream).await?;
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the caller does not speak TLS"));
        }
        Ok(Either::Right(acceptor.accept(stream).await?))
    }
}

async fn refuse_plain(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(PLAIN_ANSWER.as_bytes()).await?;
    stream.shutdown().await?;
    let mut rest = stream.take(PLAIN_REST_BYTES);
    // Whatever it is, it was answered.
    let _ = timeout(PLAIN_REST_WITHIN, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
    Ok(())
}
