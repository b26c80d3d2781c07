//! What a runtime is told.

use std::path::PathBuf;
use std::time::Duration;

/// What the operator of a runtime says.
#[derive(Clone, Debug)]
pub struct RuntimeSettings {
    /// The node's folder; the runtime's own is `runtime` in it.
    pub dir: PathBuf,
    /// What `sh -c` runs for each job.
    pub command: String,
    /// Jobs that are held at once.
    pub jobs_max: u32,
    /// Commands that run at once.
    pub at_once: usize,
    /// How long one command may take.
    pub within: Duration,
    /// The lease that is asked for, in seconds.
    pub lease_s: u32,
}

impl RuntimeSettings {
    /// The runtime's own folder.
    #[must_use]
    pub fn own(&self) -> PathBuf {
        self.dir.join("runtime")
    }
}
