//! A child that is started again when it dies.
//!
//! Always: at most one of it runs; it is written down while it does; after `stop` it is not started again. A child
//! that dies young waits longer before each next start, up to a limit; one that lived long starts again at once.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::child::{Child, ChildSpec};
use super::{Error, identity};

/// The wait before the second start in a row that failed; doubled with each that follows.
const BACK_OFF_MIN: Duration = Duration::from_millis(100);
/// The longest wait.
const BACK_OFF_MAX: Duration = Duration::from_secs(5);
/// A child that ran for this long is not dying young.
const LIVED_LONG: Duration = Duration::from_secs(10);

/// A child that is kept running.
#[derive(Debug)]
pub struct Supervised {
    spec: ChildSpec,
    pid: Arc<AtomicU32>,
    deaths_in_a_row: Arc<AtomicU32>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Supervised {
    /// Starts it, and keeps it running; its identity is kept in the folder `run`.
    pub fn start(spec: ChildSpec, run: PathBuf) -> Result<Self, Error> {
        let child = start(&spec, &run)?;
        let pid = Arc::new(AtomicU32::new(child.pid()));
        let (stop, stopped) = oneshot::channel();
        let deaths_in_a_row = Arc::new(AtomicU32::new(0));
        let keeper = Supervisor { spec: spec.clone(), run, pid: pid.clone(), deaths_in_a_row: deaths_in_a_row.clone() };
        let task = tokio::spawn(keeper.keep(child, stopped));
        Ok(Self { spec, pid, deaths_in_a_row, stop, task })
    }

    /// What it is started from.
    pub fn spec(&self) -> &ChildSpec {
        &self.spec
    }

    /// The process id it has now, or had last.
    pub fn pid(&self) -> u32 {
        self.pid.load(Ordering::Relaxed)
    }

    /// How often in a row it died young.
    pub fn deaths_in_a_row(&self) -> u32 {
        self.deaths_in_a_row.load(Ordering::Relaxed)
    }

    /// Ends it, and waits until it has ended.
    pub async fn stop(self) {
        // Either of them fails only if the task has gone, and the child with it.
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
    async fn keep(self, mut child: Child, mut stopped: oneshot::Receiver<()>) {
        loop {
            let born = Instant::now();
            tokio::select! {
                _ = &mut stopped => return self.end(child).await,
                status = child.exited() => match status {
                    Ok(status) => tracing::warn!(child = self.spec.name, %status, log = %self.spec.log.display(), "died; starting it again"),
                    Err(error) => tracing::error!(child = self.spec.name, %error, "lost; starting it again"),
                },
            }
            drop(child);
            self.count_death(born.elapsed());
            child = tokio::select! {
                _ = &mut stopped => return self.forget(),
                child = self.again() => child,
            };
        }
    }

    /// The next child; waits as long as it takes for one to start.
    async fn again(&self) -> Child {
        loop {
            tokio::time::sleep(back_off(self.deaths_in_a_row.load(Ordering::Relaxed))).await;
            match start(&self.spec, &self.run) {
                Ok(child) => {
                    self.pid.store(child.pid(), Ordering::Relaxed);
                    return child;
                }
                Err(error) => {
                    tracing::error!(child = self.spec.name, %error, "could not be started again")
                }
            }
            self.count_death(Duration::ZERO);
        }
    }

    fn count_death(&self, lived: Duration) {
        if lived < LIVED_LONG {
            self.deaths_in_a_row.fetch_add(1, Ordering::Relaxed);
        } else {
            self.deaths_in_a_row.store(0, Ordering::Relaxed);
        }
    }

    async fn end(&self, mut child: Child) {
        if let Err(error) = child.stop().await {
            tracing::warn!(child = self.spec.name, %error, "could not be stopped in order");
        }
        self.forget();
    }

    fn forget(&self) {
        if let Err(error) = identity::forget(&self.run, &self.spec.name) {
            tracing::warn!(child = self.spec.name, %error, "is still written down");
        }
    }
}

fn start(spec: &ChildSpec, run: &std::path::Path) -> Result<Child, Error> {
    let child = spec.spawn()?;
    identity::record(run, &child)?;
    Ok(child)
}

/// The wait before the next start, after so many short lives in a row.
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
