//! What a command of the operator is made of: its words for the shell, its processes, and its end.
//!
//! What always holds: a command leads a process group of its own, so it can be killed with its children.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;

/// `sh` with these words, leading a group of its own. It is not told where NATS is: that address may hold a password.
#[must_use]
pub(crate) fn command(words: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(words).env_remove("HEADWATER_NATS_URL").process_group(0).kill_on_drop(true);
    command
}

/// What the operator wrote, with a path in the place of each `{}`.
#[must_use]
pub(crate) fn script(written: &str, path: &Path) -> String {
    written.replace("{}", &quoted(path))
}

/// A path as one word for the shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

/// A process group that is killed unless it is released, also when nobody waits for its command any more.
#[derive(Debug)]
pub(crate) struct Group(Option<u32>);

impl Group {
    /// The group that this process leads, if it was started.
    #[must_use]
    pub(crate) fn led_by(leader: Option<u32>) -> Self {
        Self(leader)
    }

    /// Lets it live.
    pub(crate) fn release(&mut self) {
        self.0 = None;
    }

    /// Kills all that is left of it.
    pub(crate) fn kill(&mut self) {
        let leader = self.0.take().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(leader) = leader {
            // Nobody left to kill is what one hopes for.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How a command came to its end, in words.
#[must_use]
pub(crate) fn how_it_ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}
