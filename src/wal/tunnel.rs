//! The way of the replication stream to PostgreSQL over TLS.
//!
//! The library that speaks the replication protocol has TLS that verifies nothing. So it speaks plain to a socket in a folder that only
//! this user may enter, and this module speaks TLS to PostgreSQL behind it. Always: PostgreSQL has shown a certificate that counts before
//! the socket exists; the socket takes one connection; a server that refuses TLS, or says anything before the handshake, is refused.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::BytesMut;
use postgres_protocol::message::frontend::ssl_request;
use tempfile::TempDir;
use tls::authorities::Authorities;
use tls::error::Error as TlsError;
use tls::handshake_fault::HandshakeFault;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpStream, UnixListener};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_util::task::AbortOnDropHandle;

/// PostgreSQL's answers to a request for TLS.
const TLS_WILLING: u8 = b'S';
const TLS_UNWILLING: u8 = b'N';
/// The folder is for its owner alone.
const FOLDER_MODE: u32 = 0o700;

/// Why there is no way to PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// The CA can't be used.
    #[error("the CA of PostgreSQL can't be used (--database-ca-file)")]
    Authorities(#[from] TlsError),
    /// PostgreSQL can't be reached, or the connection broke.
    #[error("PostgreSQL can't be reached: {0}")]
    Io(#[from] io::Error),
    /// PostgreSQL has TLS switched off.
    #[error("PostgreSQL does not speak TLS there (no_tls): set `ssl = on`, or leave out --database-ca-file")]
    NoTls,
    /// The other side is no PostgreSQL.
    #[error("the answer to the request for TLS is {0:#04x}, which no PostgreSQL says")]
    NotPostgres(u8),
    /// Somebody between here and PostgreSQL puts in bytes of their own.
    #[error(
        "something was said before the TLS handshake, which PostgreSQL does not do: somebody on the way puts it in"
    )]
    Injected,
    /// The handshake failed.
    #[error("TLS with PostgreSQL failed: {source} ({}: {})", fault.code(), postgres::advice(*fault))]
    Handshake {
        /// What it means.
        fault: HandshakeFault,
        /// What was wrong.
        source: io::Error,
    },
    /// The host's name can't be in a certificate.
    #[error("`{0}` is no name that a certificate can be for")]
    Name(String),
}

/// A socket of this machine behind which is PostgreSQL. It is gone, and the connection with it, when this is dropped.
pub(crate) struct Tunnel {
    folder: TempDir,
    _carrying: AbortOnDropHandle<()>,
}

impl Tunnel {
    /// Connects to `address`, verifies that it is `host`, and makes the socket, for one connection to `port`.
    pub(crate) async fn open(
        address: (&str, u16),
        host: &str,
        port: u16,
        authorities: &Authorities,
    ) -> Result<Self, TunnelError> {
        let mut far = connect(address, host, authorities).await?;
        let folder = tempfile::Builder::new().permissions(Permissions::from_mode(FOLDER_MODE)).tempdir()?;
        let socket = UnixListener::bind(folder.path().join(format!(".s.PGSQL.{port}")))?;
        let carrying = tokio::spawn(async move {
            let carried = async {
                let (mut near, _) = socket.accept().await?;
                drop(socket);
                copy_bidirectional(&mut near, &mut far).await
            };
            // Whoever reads the stream sees that it broke, and says so.
            if let Err(error) = carried.await {
                tracing::debug!(%error, "the TLS connection of the replication stream ended");
            }
        });
        Ok(Self { folder, _carrying: AbortOnDropHandle::new(carrying) })
    }

    /// The folder with the socket.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// A TLS connection to PostgreSQL, before anything else was said.
async fn connect(
    address: (&str, u16),
    host: &str,
    authorities: &Authorities,
) -> Result<TlsStream<TcpStream>, TunnelError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| TunnelError::Name(host.to_owned()))?;
    let connector = TlsConnector::from(Arc::new(authorities.client_config()?));
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut request = BytesMut::new();
    ssl_request(&mut request);
    stream.write_all(&request).await?;
    match stream.read_u8().await? {
        TLS_WILLING => {}
        TLS_UNWILLING => return Err(TunnelError::NoTls),
        other => return Err(TunnelError::NotPostgres(other)),
    }
    // In TLS the client speaks first. What comes later than this look is taken for a part of the handshake, which then fails.
    match stream.try_read(&mut [0]) {
        Ok(1..) => return Err(TunnelError::Injected),
        Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => return Err(error.into()),
    }
    connector.connect(name, stream).await.map_err(|source| match HandshakeFault::of(&source) {
        Some(fault) => TunnelError::Handshake { fault, source },
        None => TunnelError::Io(source),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use tokio::net::TcpListener;

    use super::*;

    /// What comes of a server that answers the request for TLS with these bytes.
    async fn refused(answer: &'static [u8]) -> TunnelError {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answering = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 8];
            stream.read_exact(&mut request).await.unwrap();
            assert_eq!(request, [0, 0, 0, 8, 4, 210, 22, 47], "only TLS is asked for, and no name is said");
            stream.write_all(answer).await.unwrap();
            let mut rest = Vec::new();
            let _ended_in_any_way = stream.read_to_end(&mut rest).await;
            rest
        });
        let opened = Tunnel::open(("127.0.0.1", port), "localhost", port, &Authorities::Nobody).await;
        let error = opened.err().expect("no tunnel");
        let said = answering.await.unwrap();
        assert!(said.is_empty() || said[0] == 22, "nothing is said in plain: {said:?}");
        error
    }

    #[tokio::test]
    async fn a_server_without_tls_and_bytes_before_the_handshake_are_refused() {
        assert!(matches!(refused(b"N").await, TunnelError::NoTls));
        assert!(matches!(refused(b"E").await, TunnelError::NotPostgres(b'E')));
        // An authentication that succeeded, put in by somebody in between.
        assert!(matches!(refused(b"SR\0\0\0\x08\0\0\0\0").await, TunnelError::Injected));
        let fault = |error| match error {
            TunnelError::Handshake { fault, .. } => Some(fault),
            _ => None,
        };
        assert_eq!(fault(refused_later(b"R\0\0\0\x08\0\0\0\0").await), Some(HandshakeFault::NoTls));
    }

    /// What comes of a server that is willing, and in place of its part of the handshake says these bytes.
    async fn refused_later(answer: &'static [u8]) -> TunnelError {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 8];
            stream.read_exact(&mut request).await.unwrap();
            stream.write_all(b"S").await.unwrap();
            // Once the handshake has begun.
            stream.read_u8().await.unwrap();
            stream.write_all(answer).await.unwrap();
            let _ended_in_any_way = stream.read_to_end(&mut Vec::new()).await;
        });
        let opened = Tunnel::open(("127.0.0.1", port), "localhost", port, &Authorities::Nobody).await;
        opened.err().expect("no tunnel")
    }
}
