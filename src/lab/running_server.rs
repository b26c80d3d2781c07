//! A server process that is killed on drop, for tests: it can be killed and started again on the same port and files.
//!
//! `headwater dev` supervises its servers instead, and uses only the readiness check of this module.

use std::future::Future;
use std::ops::Deref;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use super::Error;
use super::child::{Child, ChildSpec};
use super::supervisor::Supervised;

/// How long a server may take until it answers; after a crash it first recovers its files.
pub const READY_WITHIN: Duration = Duration::from_secs(60);
/// The pause between two readiness checks.
const ASK_EVERY: Duration = Duration::from_millis(25);
/// A supervised server with so many early deaths in a row counts as failed.
const DEATHS_MAX: u32 = 8;

/// A server that is configured and can be started.
pub trait Server: Send + Sync {
    /// How to start it.
    fn spec(&self) -> &ChildSpec;
    /// Whether it answers now: the readiness check.
    fn answers(&self) -> impl Future<Output = bool> + Send;
    /// Whether a restart may help, judged by the end of its log.
    fn may_start_later(&self, log: &str) -> bool;
}

/// A server and its process.
#[derive(Debug)]
pub struct RunningServer<S> {
    // Dropped in this order: the process must end before its files are removed.
    child: Child,
    server: S,
}

impl<S: Server> RunningServer<S> {
    /// Starts `server` and waits until it is ready.
    pub async fn start(server: S) -> Result<Self, Error> {
        let child = until_ready(&server).await?;
        Ok(Self { child, server })
    }

    /// Sends SIGKILL, if it runs, and waits until it has ended.
    pub fn kill(&mut self) {
        self.child.kill();
    }

    /// Starts it on the same port and files after it ended, and waits until it is ready.
    pub async fn start_again(&mut self) -> Result<(), Error> {
        self.child = until_ready(&self.server).await?;
        Ok(())
    }

    /// Stops it and waits; it can be started again.
    pub async fn stop(&mut self) -> Result<ExitStatus, Error> {
        self.child.stop().await
    }

    /// Its process.
    pub fn child(&self) -> &Child {
        &self.child
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }
}

impl<S> Deref for RunningServer<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.server
    }
}

/// Waits until a supervised server is ready.
pub async fn ready(server: &impl Server, supervised: &Supervised) -> Result<(), Error> {
    let deadline = Instant::now() + READY_WITHIN;
    while !server.answers().await {
        if Instant::now() >= deadline || supervised.deaths_in_a_row() >= DEATHS_MAX {
            return Err(not_ready(server.spec()));
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
    Ok(())
}

async fn until_ready(server: &impl Server) -> Result<Child, Error> {
    let deadline = Instant::now() + READY_WITHIN;
    let mut child = server.spec().spawn()?;
    loop {
        if let Some(status) = child.ended()? {
            let log = server.spec().log_tail();
            if Instant::now() >= deadline || !server.may_start_later(&log) {
                let name = server.spec().name.clone();
                return Err(Error::Ended { name, status, log });
            }
            child = server.spec().spawn()?;
        } else if server.answers().await {
            return Ok(child);
        } else if Instant::now() >= deadline {
            return Err(not_ready(server.spec()));
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

fn not_ready(spec: &ChildSpec) -> Error {
    Error::NotReady { name: spec.name.clone(), within: READY_WITHIN, log: spec.log_tail() }
}
