//! A way to PostgreSQL that breaks where it is told: cut is where a certain text is about to be sent.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A cut of the connection that carries a text.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// What carries the text does not reach the server.
    Before(&'static str),
    /// It reaches the server and is done there, but the answer does not come back.
    After(&'static str),
}

impl Cut {
    fn text(self) -> &'static [u8] {
        let (Self::Before(text) | Self::After(text)) = self;
        text.as_bytes()
    }
}

/// The way.
#[derive(Clone)]
pub(crate) struct Proxy {
    address: SocketAddr,
    cuts: Arc<Mutex<VecDeque<Cut>>>,
    /// Whether answers are held back.
    holds: watch::Sender<bool>,
}

impl Proxy {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let holds = watch::Sender::new(false);
        let proxy = Self { address: listener.local_addr().unwrap(), cuts: Arc::default(), holds: holds.clone() };
        let cuts = Arc::clone(&proxy.cuts);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::spawn(carry(client, server, Arc::clone(&cuts), holds.subscribe()));
            }
        });
        proxy
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The cuts to come, each at the first text after the one before.
    pub(crate) fn cut(&self, cuts: &[Cut]) {
        self.cuts.lock().unwrap().extend(cuts);
    }

    /// Lets answers through no more, or again.
    pub(crate) fn hold_back(&self, holds: bool) {
        self.holds.send_replace(holds);
    }

    /// Cuts that have not come yet.
    pub(crate) fn left(&self) -> usize {
        self.cuts.lock().unwrap().len()
    }
}

/// Carries bytes both ways until one side ends or the connection is cut. Dropping both ends is the cut.
async fn carry(
    client: TcpStream,
    server: TcpStream,
    cuts: Arc<Mutex<VecDeque<Cut>>>,
    mut holds: watch::Receiver<bool>,
) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let is_deaf = AtomicBool::new(false);
    let there = async {
        let mut chunk = vec![0; 1 << 20];
        loop {
            let read = from_client.read(&mut chunk).await.unwrap_or(0);
            let cut = due(&cuts, &chunk[..read]);
            is_deaf.store(cut.is_some(), Ordering::Relaxed);
            if read == 0 || matches!(cut, Some(Cut::Before(_))) || to_server.write_all(&chunk[..read]).await.is_err() {
                return;
            }
            if cut.is_some() {
                // The server does what it was sent, then sees that nobody is there, and ends.
                let _gone_already = to_server.shutdown().await;
                return std::future::pending().await;
            }
        }
    };
    let back = async {
        let mut chunk = vec![0; 1 << 16];
        loop {
            let read = from_server.read(&mut chunk).await.unwrap_or(0);
            if read == 0 || holds.wait_for(|holds| !holds).await.is_err() {
                return;
            }
            if !is_deaf.load(Ordering::Relaxed) && to_client.write_all(&chunk[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = there => {}
        () = back => {}
    }
}

/// The cut that these bytes call for.
fn due(cuts: &Mutex<VecDeque<Cut>>, bytes: &[u8]) -> Option<Cut> {
    let mut cuts = cuts.lock().unwrap();
    let text = cuts.front()?.text();
    let carries = bytes.windows(text.len()).any(|window| window == text);
    if carries { cuts.pop_front() } else { None }
}
