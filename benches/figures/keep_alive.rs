//! A caller of the HTTP API that takes as little of the processors as it can: one connection, one request after the other. A client for
//! general use would take more of them than the server that is measured.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Result;

/// Bytes of an answer at most.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A connection that stays open.
pub(crate) struct KeepAlive {
    stream: TcpStream,
    head: String,
    received: Vec<u8>,
}

impl KeepAlive {
    /// Connects to `http://<host>:<port>`.
    pub(crate) async fn connect(url: &str, token: &str) -> Result<Self> {
        let address = url.strip_prefix("http://").ok_or("only plain HTTP is spoken")?;
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let head = format!(
            "POST /v1/commands HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: "
        );
        Ok(Self { stream, head, received: Vec::new() })
    }

    /// Sends commands, which must be accepted.
    pub(crate) async fn command(&mut self, body: &str) -> Result<()> {
        let request = format!("{}{}\r\n\r\n{body}", self.head, body.len());
        self.stream.write_all(request.as_bytes()).await?;
        self.received.clear();
        while !is_whole(&self.received)? {
            if self.received.len() > ANSWER_BYTES_MAX || self.stream.read_buf(&mut self.received).await? == 0 {
                return Err("an answer has no end".into());
            }
        }
        match self.received.starts_with(b"HTTP/1.1 200 ") {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&self.received).into()),
        }
    }
}

/// Whether these bytes are an answer to its end.
fn is_whole(received: &[u8]) -> Result<bool> {
    let Some(end) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return Ok(false) };
    let head = std::str::from_utf8(&received[..end])?.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.ok_or("an answer has no length")?.trim().parse()?;
    Ok(received.len() >= end + 4 + length)
}
