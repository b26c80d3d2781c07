//! Restarts a child when it dies.
//!
//! Invariants: at most one instance runs; while it runs it has a pid file; after `stop` it is not restarted. A child that dies
//! within 10 s is restarted with an exponential back-off; one that ran longer is restarted at once.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::child::{Child, ChildSpec};
use super::{Error, identity};

/// The pause after the second early death in a row; doubled with each further one.
const BACK_OFF_MIN: Duration = Duration::from_millis(100);
const BACK_OFF_MAX: Duration = Duration::from_secs(5);
/// A child that ran for so long did not die early.
const EARLY_DEATH_MAX: Duration = Duration::from_secs(10);

/// A child under supervision.
#[derive(Debug)]
pub struct Supervised {
    spec: ChildSpec,
    pid: Arc<AtomicU32>,
    deaths_in_a_row: Arc<AtomicU32>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Supervised {
    /// Starts the child and supervises it; its pid file is in the folder `run`.
    pub fn start(spec: ChildSpec, run: PathBuf) -> Result<Self, Error> {
        let child = start(&spec, &run)?;
        let pid = Arc::new(AtomicU32::new(child.pid()));
        let (stop, stopped) = oneshot::channel();
        let deaths_in_a_row = Arc::new(AtomicU32::new(0));
        let supervisor =
            Supervisor { spec: spec.clone(), run, pid: pid.clone(), deaths_in_a_row: deaths_in_a_row.clone() };
        let task = tokio::spawn(supervisor.supervise(child, stopped));
        Ok(Self { spec, pid, deaths_in_a_row, stop, task })
    }

    /// How it is started.
    pub fn spec(&self) -> &ChildSpec {
        &self.spec
    }

    /// The process id of the present or last instance.
    pub fn pid(&self) -> u32 {
        self.pid.load(Ordering::Relaxed)
    }

    /// Early deaths in a row.
    pub fn deaths_in_a_row(&self) -> u32 {
        self.deaths_in_a_row.load(Ordering::Relaxed)
    }

    /// Stops it, and waits until it has ended.
    pub async fn stop(self) {
        // Both fail only if the task has ended, and the child with it.
        let _gone = self.stop.send(());
        let _gone = self.task.await;
    }
}

struct Supervisor {
    spec: ChildSpec,
    run: PathBuf,
    pid: Arc<AtomicU32>,
    deaths_in_a_row: Arc<AtomicU32>,
}

impl Supervisor {
    async fn supervise(self, mut child: Child, mut stopped: oneshot::Receiver<()>) {
        loop {
            let born = Instant::now();
            tokio::select! {
                _ = &mut stopped => return self.stop_child(child).await,
                status = child.exited() => match status {
                    Ok(status) => tracing::warn!(child = self.spec.name, %status, log = %self.spec.log.display(), "child died; restarting it"),
                    Err(error) => tracing::error!(child = self.spec.name, %error, "child can't be waited for; restarting it"),
                },
            }
            drop(child);
            self.count_death(born.elapsed());
            child = tokio::select! {
                _ = &mut stopped => return self.remove_pid_file(),
                child = self.restart() => child,
            };
        }
    }

    /// Starts the next instance; retries until one starts.
    async fn restart(&self) -> Child {
        loop {
            tokio::time::sleep(back_off(self.deaths_in_a_row.load(Ordering::Relaxed))).await;
            match start(&self.spec, &self.run) {
                Ok(child) => {
                    self.pid.store(child.pid(), Ordering::Relaxed);
                    return child;
                }
                Err(error) => {
                    tracing::error!(child = self.spec.name, %error, "child can't be restarted")
                }
            }
            self.count_death(Duration::ZERO);
        }
    }

    fn count_death(&self, lived: Duration) {
        if lived < EARLY_DEATH_MAX {
            self.deaths_in_a_row.fetch_add(1, Ordering::Relaxed);
        } else {
            self.deaths_in_a_row.store(0, Ordering::Relaxed);
        }
    }

    async fn stop_child(&self, mut child: Child) {
        if let Err(error) = child.stop().await {
            tracing::warn!(child = self.spec.name, %error, "child can't be stopped");
        }
        self.remove_pid_file();
    }

    fn remove_pid_file(&self) {
        if let Err(error) = identity::remove_pid_file(&self.run, &self.spec.name) {
            tracing::warn!(child = self.spec.name, %error, "pid file can't be removed");
        }
    }
}

fn start(spec: &ChildSpec, run: &std::path::Path) -> Result<Child, Error> {
    let child = spec.spawn()?;
    identity::write_pid_file(run, &child)?;
    Ok(child)
}

/// The pause before the next start, after so many early deaths in a row.
fn back_off(deaths_in_a_row: u32) -> Duration {
    match deaths_in_a_row {
        0 | 1 => Duration::ZERO,
        n => BACK_OFF_MIN.saturating_mul(1 << (n - 2).min(16)).min(BACK_OFF_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_keeps_dying_young_waits_longer_up_to_the_limit() {
        let waits: Vec<_> = [0, 1, 2, 3, 4, 7, 8, 1000].map(back_off).into();
        let ms = [0, 0, 100, 200, 400, 3200, 5000, 5000].map(Duration::from_millis);
        assert_eq!(waits, ms);
    }
}
