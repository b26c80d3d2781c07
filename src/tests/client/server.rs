//! An HTTP server that answers as a test says, as no server of Headwater would.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

/// What a handler does about a request: its first line and its body, and the stream to answer on.
type Handler = dyn Fn(&str, &str, &mut Reply) -> io::Result<()> + Send + Sync;

/// The server. Its threads end with the test's process.
pub(crate) struct Server {
    pub(crate) url: String,
    /// First lines of requests, without the version.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
    /// Bytes of answers that were taken.
    pub(crate) sent: Arc<AtomicU64>,
}

/// `GET /v1/log` of a log that ends at a position.
pub(crate) fn log_status(position: u64) -> Value {
    json!({"log_id": "0198b0a2-0000-7000-8000-000000000000", "position": position, "at": "2026-01-01T00:00:00.000000Z",
        "published": null, "relay": null, "signing_key": "00".repeat(32), "key_id": "00".repeat(32)})
}

/// Where a handler writes its answer.
pub(crate) struct Reply {
    stream: TcpStream,
    sent: Arc<AtomicU64>,
}

impl Reply {
    /// Sends bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Sends a whole answer.
    pub(crate) fn whole(&mut self, status: &str, body: &str) -> io::Result<()> {
        let length = body.len();
        self.raw(format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}").as_bytes())
    }

    /// Sends the head of an answer that ends with the connection, and then the same bytes for ever.
    pub(crate) fn endless(&mut self, media_type: &str, first: &[u8], then: &[u8]) -> io::Result<()> {
        self.raw(format!("HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\nconnection: close\r\n\r\n").as_bytes())?;
        self.raw(first)?;
        let many = then.repeat(64 * 1024 / then.len());
        loop {
            self.raw(&many)?;
        }
    }
}

impl Server {
    pub(crate) fn new(handler: impl Fn(&str, &str, &mut Reply) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, sent) = (Arc::default(), Arc::default());
        let server = Self { url, asked: Arc::clone(&asked), sent: Arc::clone(&sent) };
        let handler: Arc<Handler> = Arc::new(handler);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (handler, asked) = (Arc::clone(&handler), Arc::clone(&asked));
                let reply = Reply { stream: stream.unwrap(), sent: Arc::clone(&sent) };
                // Whoever has had enough closes the connection.
                thread::spawn(move || drop(answer(&*handler, &asked, reply)));
            }
        });
        server
    }

    /// Runs `headwater` against it, with its output where `stdout` says.
    pub(crate) fn told(&self, arguments: &[&str], stdout: Stdio) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headwater"));
        command.args(arguments).env("HEADWATER_URL", &self.url).env("HEADWATER_TOKEN", "hw_secret");
        command.stdout(stdout).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap()
    }

    /// How it ends, and what it says on both outputs.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.told(arguments, Stdio::piped());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(handler: &Handler, asked: &Mutex<Vec<String>>, mut reply: Reply) -> io::Result<()> {
    let mut reader = BufReader::new(reply.stream.try_clone()?);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        if let Some(said) = line.strip_prefix("content-length:") {
            length = said.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let first = first.trim_end().trim_end_matches(" HTTP/1.1");
    asked.lock().unwrap().push(first.to_owned());
    handler(first, &String::from_utf8_lossy(&body), &mut reply)
}
