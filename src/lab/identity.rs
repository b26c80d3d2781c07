//! Identifies a process over time, and ends processes that a killed parent left running.
//!
//! A pid is reused after its process has ended. Together with the boot id and the start time in ticks it identifies one process
//! for ever, and only such a process is signalled. Each child has a pid file with its identity, which the next start reads.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use super::child::{Child, StopSignal};
use super::{Error, private_file};

/// How often a process that is stopping is checked.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long a killed process may take to end; only a stuck kernel takes longer.
const KILLED_WITHIN: Duration = Duration::from_secs(10);

/// Identifies one process, also after its pid is reused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The process id.
    pub pid: u32,
    /// Start time, in clock ticks since boot.
    pub started: u64,
    /// The boot id of the kernel.
    pub boot: String,
}

/// The content of a child's pid file.
#[derive(Debug, Serialize, Deserialize)]
struct PidFile {
    #[serde(flatten)]
    identity: Identity,
    program: PathBuf,
    ask: String,
    grace_ms: u64,
}

impl Identity {
    /// The process that has this pid now, if one is alive.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let started = started_unless_dead(&stat)?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let boot = boot.trim().to_owned();
        Some(Self { pid, started, boot })
    }

    /// Whether this process is still alive.
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Whether its command line names `program`: with the same boot id, another container can have another process of this pid.
    pub fn runs(&self, program: &Path) -> bool {
        let line = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let program = program.as_os_str().as_encoded_bytes();
        line.split(|byte| *byte == 0).any(|argument| argument == program)
    }
}

/// The start time (field 22) in the text of `/proc/<pid>/stat`; none if the process is a zombie or dead: then it runs no code,
/// and its new parent decides when it is reaped.
fn started_unless_dead(stat: &str) -> Option<u64> {
    // The name, in parentheses, may hold spaces and parentheses of its own.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X" | "x") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Writes the pid file of a child that was just started.
pub fn write_pid_file(run: &Path, child: &Child) -> Result<(), Error> {
    let Some(identity) = Identity::of(child.pid()) else {
        return Ok(()); // it has ended already
    };
    let spec = child.spec();
    let left = PidFile {
        identity,
        program: spec.program.clone(),
        ask: spec.ask.name().to_owned(),
        grace_ms: u64::try_from(spec.grace.as_millis()).unwrap_or(u64::MAX),
    };
    let text = serde_json::to_vec(&left).expect("BUG: names and numbers can be written as JSON");
    private_file::write(&file(run, &spec.name), &text)
}

/// Removes the pid file of a child that has ended.
pub fn remove_pid_file(run: &Path, name: &str) -> Result<(), Error> {
    private_file::remove(&file(run, name))
}

/// Ends all processes that have a pid file in `run`, which a killed parent left. Blocks meanwhile.
pub fn end_leftovers(run: &Path) -> Result<(), Error> {
    let entries = fs::read_dir(run).map_err(|error| Error::file("read", run, error))?;
    let files = entries.flatten().map(|entry| entry.path());
    for path in files.filter(|path| path.extension().is_some_and(|is| is == "pid")) {
        let left = fs::read(&path).map_err(|error| Error::file("read", &path, error))?;
        if let Ok(left) = serde_json::from_slice::<PidFile>(&left) {
            end(&left);
        }
        private_file::remove(&path)?;
    }
    Ok(())
}

/// Stops the process, and kills it after its grace period.
fn end(left: &PidFile) {
    let Some(pidfd) = open_pidfd(left) else { return };
    let pid = left.identity.pid;
    tracing::info!(pid, program = %left.program.display(), "ending a process that a killed parent left running");
    let ask = if left.ask == StopSignal::Interrupt.name() { Signal::INT } else { Signal::TERM };
    let _ended_meanwhile = pidfd_send_signal(&pidfd, ask);
    if !ends_within(Duration::from_millis(left.grace_ms), &left.identity) {
        let _ended_meanwhile = pidfd_send_signal(&pidfd, Signal::KILL);
        if !ends_within(KILLED_WITHIN, &left.identity) {
            tracing::warn!(pid, "killed process has not ended");
        }
    }
}

fn ends_within(time: Duration, identity: &Identity) -> bool {
    let deadline = Instant::now() + time;
    while identity.is_alive() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    true
}

/// A pidfd of the process; none if it has ended. The pidfd is opened first and the identity checked after it: then they are the
/// same process.
fn open_pidfd(left: &PidFile) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(left.identity.pid).ok()?)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    (left.identity.is_alive() && left.identity.runs(&left.program)).then_some(pidfd)
}

fn file(run: &Path, name: &str) -> PathBuf {
    run.join(format!("{name}.pid"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use std::process::Command;

    use super::*;

    /// Killed at the end of the test.
    struct Sleeper(std::process::Child);

    impl Sleeper {
        fn start() -> Self {
            Self(Command::new("sleep").arg("600").spawn().unwrap())
        }

        fn left(&self, program: &str) -> PidFile {
            PidFile {
                identity: Identity::of(self.0.id()).unwrap(),
                program: program.into(),
                ask: "SIGTERM".into(),
                grace_ms: 10_000,
            }
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _gone = self.0.kill();
            let _reaped = self.0.wait();
        }
    }

    fn clear_of(left: &PidFile) {
        let run = tempfile::tempdir().unwrap();
        private_file::write(&file(run.path(), "it"), &serde_json::to_vec(left).unwrap()).unwrap();
        end_leftovers(run.path()).unwrap();
        assert!(!file(run.path(), "it").exists());
    }

    #[test]
    fn the_start_time_is_read_past_any_name() {
        let fields = "1 1 1 0 -1 4 5 6 7 8 9 10 11 12 20 0 1 0 4711 99";
        assert_eq!(started_unless_dead(&format!("7 (a) b) S {fields}")), Some(4711));
        assert_eq!(started_unless_dead(&format!("7 (a) Z {fields}")), None);
        assert_eq!(started_unless_dead("7"), None);
    }

    #[test]
    fn what_was_left_is_ended() {
        let sleeper = Sleeper::start();
        let left = sleeper.left("sleep");
        clear_of(&left);
        assert!(!left.identity.is_alive());
    }

    #[test]
    fn a_stranger_who_has_the_number_now_is_let_be() {
        let sleeper = Sleeper::start();
        let mut earlier = sleeper.left("sleep");
        earlier.identity.started -= 1;
        let mut other_boot = sleeper.left("sleep");
        other_boot.identity.boot = "another".into();
        let other_program = sleeper.left("/usr/bin/postgres");
        for left in [earlier, other_boot, other_program] {
            clear_of(&left);
            assert!(Identity::of(sleeper.0.id()).is_some(), "{left:?}");
        }
    }
}
