//! A way to a server that can be slow, silent or cut.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

/// How much is carried at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// What the way is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// As if it were not there.
    Open,
    /// It carries so many bytes a second each way, and each piece arrives late.
    Slow(u32),
    /// Nothing arrives, and nobody is told.
    Silent,
    /// Connections end, and new ones end at once.
    Cut,
}

/// How late everything is on a slow way.
const LATE: Duration = Duration::from_millis(150);

/// The way.
pub(crate) struct Wire {
    port: u16,
    mode: watch::Sender<Mode>,
}

impl Wire {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (mode, modes) = watch::channel(Mode::Open);
        let wire = Self { port: listener.local_addr().unwrap().port(), mode };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connect(client, port, modes.clone()));
            }
        });
        wire
    }

    /// An address with this way in the place of the direct one.
    pub(crate) fn instead(&self, url: &str) -> String {
        let (before, _direct) = url.rsplit_once(':').unwrap();
        format!("{before}:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

/// Dropping both ends is the cut.
async fn connect(client: TcpStream, port: u16, modes: watch::Receiver<Mode>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut cut = modes.clone();
    tokio::select! {
        () = carry(from_client, to_server, modes.clone()) => {}
        () = carry(from_server, to_client, modes) => {}
        _ = cut.wait_for(|mode| *mode == Mode::Cut) => {}
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut modes: watch::Receiver<Mode>) {
    let mut chunk = vec![0; CHUNK_BYTES];
    // When what was sent has arrived.
    let mut free_at = Instant::now();
    loop {
        let Ok(read @ 1..) = from.read(&mut chunk).await else { return };
        let Ok(mode) = modes.wait_for(|mode| *mode != Mode::Silent).await.map(|mode| *mode) else { return };
        if let Mode::Slow(bytes_per_s) = mode {
            // What follows at once is on its way already: it takes its time, and is not late once more. A busy machine that wakes this
            // task late does not make the way slower.
            let now = Instant::now();
            if now.saturating_duration_since(free_at) > LATE {
                free_at = now + LATE;
            }
            free_at += Duration::from_secs_f64(read as f64 / f64::from(bytes_per_s));
            tokio::time::sleep_until(free_at).await;
        }
        if to.write_all(&chunk[..read]).await.is_err() {
            return;
        }
    }
}
