//! Shell commands of the operator: how they are started, killed and described.
//!
//! Invariant: a command leads a process group of its own, so it can be killed with its children.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;

/// `sh` with these arguments. HEADWATER_NATS_URL is removed, since it may hold a password.
#[must_use]
pub(crate) fn command(words: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(words).env_remove("HEADWATER_NATS_URL").process_group(0).kill_on_drop(true);
    command
}

/// The operator's script, with the quoted `path` in the place of each `{}`.
#[must_use]
pub(crate) fn script(script: &str, path: &Path) -> String {
    script.replace("{}", &quoted(path))
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

/// A process group that is killed on drop unless it is released, so that a cancelled future leaves no processes.
#[derive(Debug)]
pub(crate) struct ProcessGroup(Option<u32>);

impl ProcessGroup {
    #[must_use]
    pub(crate) fn led_by(leader: Option<u32>) -> Self {
        Self(leader)
    }

    /// Lets the processes live.
    pub(crate) fn release(&mut self) {
        self.0 = None;
    }

    pub(crate) fn kill(&mut self) {
        let leader = self.0.take().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(leader) = leader {
            // Fails if every process of the group has ended already.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Such as `ended with 1`.
#[must_use]
pub(crate) fn describe_exit(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}
