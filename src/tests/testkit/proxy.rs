//! A way to PostgreSQL that breaks where it is told: cut is where a certain text is about to be sent.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

/// A cut of the connection that carries a text.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// What carries the text does not reach the server.
    Before(&'static str),
    /// It reaches the server and is done there, but the answer does not come back.
    After(&'static str),
    /// The connection breaks at once, and what carries the text reaches the server only when it is let go.
    Late(&'static str),
}

impl Cut {
    fn text(self) -> &'static [u8] {
        let (Self::Before(text) | Self::After(text) | Self::Late(text)) = self;
        text.as_bytes()
    }
}

/// The way.
#[derive(Clone)]
pub struct Proxy {
    address: SocketAddr,
    cuts: Arc<Mutex<VecDeque<Cut>>>,
    /// Whether answers are held back.
    holds: watch::Sender<bool>,
    late: Late,
}

/// What is late: how much of it there is, and whether it may go on.
#[derive(Clone, Default)]
struct Late {
    count: Arc<AtomicUsize>,
    goes: Arc<Notify>,
}

impl Proxy {
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let holds = watch::Sender::new(false);
        let proxy =
            Self { address: listener.local_addr().unwrap(), cuts: Arc::default(), holds, late: Late::default() };
        let carrying = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::spawn(carry(client, server, carrying.clone()));
            }
        });
        proxy
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The cuts to come, each at the first text after the one before.
    pub fn cut(&self, cuts: &[Cut]) {
        self.cuts.lock().unwrap().extend(cuts);
    }

    /// Lets answers through no more, or again.
    pub fn hold_back(&self, holds: bool) {
        self.holds.send_replace(holds);
    }

    /// How many connections are late.
    pub fn late(&self) -> usize {
        self.late.count.load(Ordering::Relaxed)
    }

    /// Lets what is late reach the server.
    pub fn let_go(&self) {
        self.late.goes.notify_waiters();
    }

    /// Cuts that have not come yet.
    pub fn left(&self) -> usize {
        self.cuts.lock().unwrap().len()
    }
}

/// Carries bytes both ways until one side ends or the connection is cut. Dropping both ends is the cut.
async fn carry(client: TcpStream, server: TcpStream, proxy: Proxy) {
    let Proxy { cuts, holds, late, .. } = proxy;
    let mut holds = holds.subscribe();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let is_deaf = AtomicBool::new(false);
    let there = async {
        let mut chunk = vec![0; 1 << 20];
        loop {
            let read = from_client.read(&mut chunk).await.unwrap_or(0);
            let cut = due(&cuts, &chunk[..read]);
            is_deaf.store(cut.is_some(), Ordering::Relaxed);
            if matches!(cut, Some(Cut::Late(_))) {
                return chunk[..read].to_vec();
            }
            if read == 0 || matches!(cut, Some(Cut::Before(_))) || to_server.write_all(&chunk[..read]).await.is_err() {
                return Vec::new();
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
    let kept = tokio::select! {
        kept = there => kept,
        () = back => Vec::new(),
    };
    if !kept.is_empty() {
        drop((from_client, to_client));
        late.count.fetch_add(1, Ordering::Relaxed);
        late.goes.notified().await;
        to_server.write_all(&kept).await.unwrap();
        to_server.shutdown().await.unwrap();
        // The server ends once it has done what came.
        let _unheard = from_server.read_to_end(&mut Vec::new()).await;
        late.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The cut that these bytes call for.
fn due(cuts: &Mutex<VecDeque<Cut>>, bytes: &[u8]) -> Option<Cut> {
    let mut cuts = cuts.lock().unwrap();
    let text = cuts.front()?.text();
    let carries = bytes.windows(text.len()).any(|window| window == text);
    if carries { cuts.pop_front() } else { None }
}
