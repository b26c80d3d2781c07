//! A private nats-server for one test, which may be killed, started again and robbed of its memory.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use lab::server_programs;
use schema::permissions::Permissions;
use tempfile::TempDir;

/// A nats-server on a port of its own that keeps its data between kills.
pub struct Server {
    port: u16,
    address: String,
    data: TempDir,
    child: Option<Child>,
    users: Option<String>,
}

impl Server {
    /// A server that is not started: something to connect to later.
    pub fn later() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        Self { port, address, data: tempfile::tempdir().unwrap(), child: None, users: None }
    }

    pub fn start() -> Self {
        let mut server = Self::later();
        server.run();
        server
    }

    /// A server with the user `server`, who may do all, and the user `n-1`, who may publish and hear what a node may.
    pub fn with_permissions(Permissions { publish, mut subscribe }: Permissions) -> Self {
        let mut server = Self::later();
        subscribe.push("_INBOX.>".to_owned());
        server.users = Some(format!(
            "authorization {{ users = [ {{ user: server, password: c }}, {{ user: n-1, password: n, permissions: {{ \
             publish: {{ allow: {publish:?} }}, subscribe: {{ allow: {subscribe:?} }} }} }} ] }}"
        ));
        server.run();
        server
    }

    pub fn run(&mut self) {
        let program = server_programs::find_nats_server(None).expect("a nats-server: run `make setup`");
        let config = self.data.path().join("nats.conf");
        std::fs::write(&config, self.users.as_deref().unwrap_or_default()).unwrap();
        let child = Command::new(program.path)
            .arg("-c")
            .arg(config)
            .args(["-a", "127.0.0.1", "-p", &self.port.to_string(), "-js", "-sd"])
            .arg(self.data.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the nats-server that was found runs");
        self.child = Some(child);
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn url(&self) -> String {
        self.url_of("server", "c")
    }

    pub fn url_of(&self, user: &str, password: &str) -> String {
        match self.users {
            Some(_) => format!("nats://{user}:{password}@127.0.0.1:{}", self.port),
            None => format!("nats://127.0.0.1:{}", self.port),
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Loses all data.
    pub fn wipe(&mut self) {
        assert!(self.child.is_none(), "kill it first");
        self.data = tempfile::tempdir().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
