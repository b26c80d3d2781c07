//! A server that runs, for as long as this value lives.
//!
//! What the suite starts: it can be killed and started again on the same port and the same files, as often as a
//! test wants. `headwater dev` supervises its servers instead, and shares what says whether one is ready.

use std::future::Future;
use std::ops::Deref;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use super::Error;
use super::child::{Child, ChildSpec};
use super::supervisor::Supervised;

/// How long a server may take from its start to its first answer; after a crash it first repairs its files.
pub const READY_WITHIN: Duration = Duration::from_secs(60);
/// How often a server is asked whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(25);
/// A supervised server that died this often in a row will not get ready.
const DEATHS_MAX: u32 = 8;

/// A server whose files are in place.
pub trait Server: Send + Sync {
    /// How it is started.
    fn spec(&self) -> &ChildSpec;
    /// Whether it answers now.
    fn answers(&self) -> impl Future<Output = bool> + Send;
    /// Whether starting it again may help, judged by the end of its log.
    fn may_start_later(&self, log: &str) -> bool;
}

/// A server and its process. Dropping it kills the process.
#[derive(Debug)]
pub struct RunningServer<S> {
    // The child goes first, and then what it stood on.
    child: Child,
    server: S,
}

impl<S: Server> RunningServer<S> {
    /// Starts `server` and waits until it answers.
    pub async fn start(server: S) -> Result<Self, Error> {
        let child = until_ready(&server).await?;
        Ok(Self { child, server })
    }

    /// Kills it (-9), if it runs, and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.kill();
    }

    /// Starts it on the same port and files after it ended, and waits until it answers.
    pub async fn start_again(&mut self) -> Result<(), Error> {
        self.child = until_ready(&self.server).await?;
        Ok(())
    }

    /// Asks it to end and waits; it can be started again.
    pub async fn stop(&mut self) -> Result<ExitStatus, Error> {
        self.child.stop().await
    }

    /// Its process, to look at or to freeze.
    pub fn child(&self) -> &Child {
        &self.child
    }

    /// Its process id.
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

/// Waits until a supervised server answers.
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
