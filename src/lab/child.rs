//! A child process that ends with its parent.
//!
//! Invariants: the kernel signals the child when this process ends, however it ends (`setpriv --pdeathsig`, since the system call
//! itself needs unsafe code); the child has a process group of its own, so that Ctrl-C in a terminal reaches only us; signals go
//! through its pidfd, so that a reused pid is never hit; dropping it kills it. Its output goes to a log file.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::signal::unix::{SignalKind, signal};

use super::Error;
use super::unprivileged_user::UnprivilegedUser;

/// How much of a log's end an error shows, in bytes.
const TAIL_BYTES: u64 = 2048;

/// The signal that asks a child to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGTERM.
    Terminate,
    /// SIGINT, PostgreSQL's fast shutdown: on SIGTERM it would wait for all clients.
    Interrupt,
}

impl StopSignal {
    fn signal(self) -> Signal {
        match self {
            Self::Terminate => Signal::TERM,
            Self::Interrupt => Signal::INT,
        }
    }

    /// The name in `setpriv`'s arguments and in pid files.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }
}

/// How to start a child; it can be started many times.
#[derive(Clone, Debug)]
pub struct ChildSpec {
    /// For messages, log and pid file.
    pub name: String,
    /// The path of the program.
    pub program: PathBuf,
    /// Every user of the machine can read them: secrets go into `env`.
    pub args: Vec<OsString>,
    /// Variables besides our own. HEADWATER_* variables of ours are not passed on: a setting for another server must not reach
    /// the child.
    pub env: Vec<(OsString, OsString)>,
    /// The working folder, which `account` must be able to enter.
    pub dir: PathBuf,
    /// Stdout and stderr are appended to this file.
    pub log: PathBuf,
    /// The account to run as; none for our own.
    pub account: Option<UnprivilegedUser>,
    /// Sent to stop it, and by the kernel when we end.
    pub ask: StopSignal,
    /// How long it may take to stop before it is killed.
    pub grace: Duration,
}

impl ChildSpec {
    /// Starts the child.
    pub fn spawn(&self) -> Result<Child, Error> {
        let failed = |source| Error::Start { name: self.name.clone(), source };
        let command = self.command()?;
        let inner = spawn_on_lasting_thread(command).map_err(failed)?;
        let pid = i32::try_from(inner.id()).ok().and_then(Pid::from_raw);
        let pid = pid.expect("BUG: the kernel gave a pid that is none");
        // Nobody has waited for the child yet, so its pid can't have been reused.
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| failed(error.into()))?;
        Ok(Child { spec: self.clone(), inner, pidfd })
    }

    /// The last 2 KiB of its log, for an error message.
    pub fn log_tail(&self) -> String {
        tail(&self.log).unwrap_or_else(|error| format!("({}: {error})", self.log.display()))
    }

    fn command(&self) -> Result<Command, Error> {
        let log = open_log(&self.log)?;
        let log_again = log.try_clone().map_err(|error| Error::file("open", &self.log, error))?;
        let mut command = if has_setpriv() {
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", self.ask.name()]);
            if let Some(account) = self.account {
                command.args(account.setpriv_args());
            }
            command.arg("--").arg(&self.program);
            command
        } else if self.account.is_some() {
            return Err(Error::NoSetpriv);
        } else {
            tracing::warn!(
                child = self.name,
                "setpriv (util-linux) is missing: if this process is killed, the child stays"
            );
            Command::new(&self.program)
        };
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(name)) {
            command.env_remove(name);
        }
        command
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(log_again)
            .process_group(0);
        Ok(command)
    }
}

/// Whether a variable is a setting of Headwater, except those of logging, which apply to children as well.
fn is_setting(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b"HEADWATER_") && !name.starts_with(b"HEADWATER_LOG")
}

/// A running child.
#[derive(Debug)]
pub struct Child {
    spec: ChildSpec,
    inner: std::process::Child,
    pidfd: OwnedFd,
}

impl Child {
    /// The process id.
    pub fn pid(&self) -> u32 {
        self.inner.id()
    }

    /// How it was started.
    pub fn spec(&self) -> &ChildSpec {
        &self.spec
    }

    /// The exit status, if it has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.inner.try_wait().map_err(|error| self.not_waited(error))
    }

    /// Waits until it has ended. Cancel-safe.
    pub async fn exited(&mut self) -> Result<ExitStatus, Error> {
        // The handler is installed before the status is read, so that an end between the two is noticed.
        let heard = signal(SignalKind::child());
        let mut some_child_ended = heard.map_err(|error| self.not_waited(error))?;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            some_child_ended.recv().await;
        }
    }

    /// Sends its stop signal, waits for its grace period, then kills it.
    pub async fn stop(&mut self) -> Result<ExitStatus, Error> {
        self.signal(self.spec.ask.signal());
        if let Ok(status) = tokio::time::timeout(self.spec.grace, self.exited()).await {
            return status;
        }
        tracing::warn!(child = self.spec.name, "child did not stop in time; killing it");
        self.kill();
        self.exited().await
    }

    /// Sends SIGKILL and waits until it has ended.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        // Blocks only if the kernel is stuck. The status stays available for `ended`.
        if let Err(error) = self.inner.wait() {
            tracing::warn!(child = self.spec.name, %error, "child can't be waited for");
        }
    }

    /// Sends SIGSTOP or SIGCONT: tests freeze a server with it.
    pub fn freeze(&self, frozen: bool) {
        self.signal(if frozen { Signal::STOP } else { Signal::CONT });
    }

    fn signal(&self, signal: Signal) {
        // Fails if it has ended already.
        let _ended_already = pidfd_send_signal(&self.pidfd, signal);
    }

    fn not_waited(&self, source: io::Error) -> Error {
        let name = self.spec.name.clone();
        Error::Wait { name, source }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if matches!(self.inner.try_wait(), Ok(None)) {
            self.kill();
        }
    }
}

type SpawnRequest = (Command, mpsc::Sender<io::Result<std::process::Child>>);

/// Starts `command` on a thread that lives as long as this process: `pdeathsig` fires at the end of the *thread* that forked the
/// child, and threads of a runtime or a test end early.
fn spawn_on_lasting_thread(command: Command) -> io::Result<std::process::Child> {
    static REQUESTS: OnceLock<mpsc::Sender<SpawnRequest>> = OnceLock::new();
    let gone = || io::Error::other("the thread that starts children is gone");
    let requests = REQUESTS.get_or_init(|| {
        let (requests, received) = mpsc::channel::<SpawnRequest>();
        let spawned = thread::Builder::new().name("children".into()).spawn(move || {
            while let Ok((mut command, answer)) = received.recv() {
                // If the caller is gone, the child is dropped with the answer.
                let _ignored = answer.send(command.spawn());
            }
        });
        spawned.expect("BUG: a thread can be started");
        requests
    });
    let (answer, answered) = mpsc::channel();
    requests.send((command, answer)).map_err(|_| gone())?;
    answered.recv().map_err(|_| gone())?
}

/// Whether `setpriv` exists and supports `--pdeathsig`.
fn has_setpriv() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let asked = Command::new("setpriv").arg("--help").output();
        asked.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains("--pdeathsig"))
    })
}

fn open_log(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    options.open(path).map_err(|error| Error::file("open", path, error))
}

fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_somebody_elses_server_are_known_by_their_name() {
        for (name, expected) in [
            ("HEADWATER_ROLE", true),
            ("HEADWATER_NATS_PREFIX", true),
            ("HEADWATER_TRUST", true),
            ("HEADWATER_LOG", false),
            ("HEADWATER_LOG_FORMAT", false),
            ("PATH", false),
        ] {
            assert_eq!(is_setting(OsStr::new(name)), expected, "{name}");
        }
    }
}
