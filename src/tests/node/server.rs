//! A private nats-server for one test, which may be killed, started again and robbed of its memory.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use headwater::machine::find;
use tempfile::TempDir;

/// A nats-server on a port of its own that keeps its data between kills.
pub(crate) struct Server {
    port: u16,
    data: TempDir,
    child: Option<Child>,
}

impl Server {
    /// A server that is not started: something to connect to later.
    pub(crate) fn later() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        Self { port, data: tempfile::tempdir().unwrap(), child: None }
    }

    pub(crate) fn start() -> Self {
        let mut server = Self::later();
        server.run();
        server
    }

    pub(crate) fn run(&mut self) {
        let program = find::nats_server(None).expect("a nats-server: run `make setup`");
        let child = Command::new(program.path)
            .args(["-a", "127.0.0.1", "-p", &self.port.to_string(), "-js", "-sd"])
            .arg(self.data.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the nats-server that was found runs");
        self.child = Some(child);
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Loses all data.
    pub(crate) fn wipe(&mut self) {
        assert!(self.child.is_none(), "kill it first");
        self.data = tempfile::tempdir().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
