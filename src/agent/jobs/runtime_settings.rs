//! Settings of a runtime, from the agent's options.

use std::path::PathBuf;
use std::time::Duration;

/// Built from `RuntimeOptions` and the node's folder.
#[derive(Clone, Debug)]
pub struct RuntimeSettings {
    /// The node's folder, absolute.
    pub dir: PathBuf,
    /// What `sh -c` runs for each job.
    pub command: String,
    /// How many jobs it claims at most.
    pub jobs_max: u32,
    /// How many commands run in parallel.
    pub parallel_max: usize,
    /// After this a command is killed.
    pub timeout: Duration,
    /// The lease to request, in seconds.
    pub lease_s: u32,
}

impl RuntimeSettings {
    /// `<dir>/runtime`, for the runtime's state and copies of specs.
    #[must_use]
    pub fn runtime_dir(&self) -> PathBuf {
        self.dir.join("runtime")
    }
}
