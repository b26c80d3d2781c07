//! One process that ends with its parent.
//!
//! Always: a child is signalled by the kernel when this process ends, however it ends (`setpriv --pdeathsig`,
//! since the call itself would take unsafe code); it has a process group of its own, so that Ctrl-C at a
//! terminal reaches us and not it; it is signalled through its pidfd, so that a number which the system has
//! given to somebody else is never hit; and dropping it kills it. Output goes to a log file, never to children.

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

/// The signal that asks a child to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGTERM, which most programs understand.
    Terminate,
    /// SIGINT: PostgreSQL's fast shutdown. To it SIGTERM means to wait until every client has gone.
    Interrupt,
}

impl StopSignal {
    fn signal(self) -> Signal {
        match self {
            Self::Terminate => Signal::TERM,
            Self::Interrupt => Signal::INT,
        }
    }

    /// The name that `setpriv` and a pid file know it by.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }
}

/// A child to be started, any number of times.
#[derive(Clone, Debug)]
pub struct ChildSpec {
    /// What people call it.
    pub name: String,
    /// The program's path.
    pub program: PathBuf,
    /// Its arguments. Everybody on the machine can read them: secrets go into `env`.
    pub args: Vec<OsString>,
    /// Variables set for it, beside those we have. Of Headwater's own settings it gets no other than these: what is set for
    /// somebody else's server must not reach a child of children.
    pub env: Vec<(OsString, OsString)>,
    /// Its working folder; it has to be one that `account` may enter.
    pub dir: PathBuf,
    /// Where its output goes, after what is there already.
    pub log: PathBuf,
    /// Whom it runs as, if not as we do.
    pub account: Option<UnprivilegedUser>,
    /// How it is asked to end, also by our own death.
    pub ask: StopSignal,
    /// How long it may take over that before it is killed.
    pub grace: Duration,
}

impl ChildSpec {
    /// Starts it.
    pub fn spawn(&self) -> Result<Child, Error> {
        let failed = |source| Error::Start { name: self.name.clone(), source };
        let command = self.command()?;
        let inner = on_lasting_thread(command).map_err(failed)?;
        let pid = i32::try_from(inner.id()).ok().and_then(Pid::from_raw);
        let pid = pid.expect("BUG: the kernel gave a pid that is none");
        // It is not waited for yet, so the number is still its own.
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| failed(error.into()))?;
        Ok(Child { spec: self.clone(), inner, pidfd })
    }

    /// The end of its log, for an error.
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

/// Whether a variable is one of Headwater's settings. What is said while working, and how, is up to whoever watches.
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
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.inner.id()
    }

    /// What it was started from.
    pub fn spec(&self) -> &ChildSpec {
        &self.spec
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.inner.try_wait().map_err(|error| self.not_waited(error))
    }

    /// Waits until it has ended. May be dropped and called again.
    pub async fn exited(&mut self) -> Result<ExitStatus, Error> {
        // Listening comes before looking, so that an end between the two is heard.
        let heard = signal(SignalKind::child());
        let mut some_child_ended = heard.map_err(|error| self.not_waited(error))?;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            some_child_ended.recv().await;
        }
    }

    /// Asks it to end, waits for as long as its grace lasts, then kills it.
    pub async fn stop(&mut self) -> Result<ExitStatus, Error> {
        self.signal(self.spec.ask.signal());
        if let Ok(status) = tokio::time::timeout(self.spec.grace, self.exited()).await {
            return status;
        }
        tracing::warn!(child = self.spec.name, "did not end when asked; killing it");
        self.kill();
        self.exited().await
    }

    /// Kills it (-9) and waits until it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        // A killed process ends unless the kernel itself is stuck; its status is kept for `ended`.
        if let Err(error) = self.inner.wait() {
            tracing::warn!(child = self.spec.name, %error, "could not be waited for");
        }
    }

    /// Stops or continues it (SIGSTOP, SIGCONT): what a test does to make a server freeze.
    pub fn freeze(&self, frozen: bool) {
        self.signal(if frozen { Signal::STOP } else { Signal::CONT });
    }

    fn signal(&self, signal: Signal) {
        // It may have ended already; then there is nobody to tell.
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

/// Starts `command` on a thread that lasts as long as this process: the kernel takes the end of the *thread* that
/// started a child for the end of its parent, and a thread of a runtime or of a test ends early.
fn on_lasting_thread(command: Command) -> io::Result<std::process::Child> {
    static ORDERS: OnceLock<mpsc::Sender<SpawnRequest>> = OnceLock::new();
    let gone = || io::Error::other("the thread that starts children is gone");
    let orders = ORDERS.get_or_init(|| {
        let (orders, taken) = mpsc::channel::<SpawnRequest>();
        let spawned = thread::Builder::new().name("children".into()).spawn(move || {
            while let Ok((mut command, answer)) = taken.recv() {
                // Whoever asked waits for the answer; if it has gone, dropping the child is all that is left.
                let _unheard = answer.send(command.spawn());
            }
        });
        spawned.expect("BUG: a thread can be started");
        orders
    });
    let (answer, answered) = mpsc::channel();
    orders.send((command, answer)).map_err(|_| gone())?;
    answered.recv().map_err(|_| gone())?
}

/// Whether `setpriv` is here and knows how to tie a child to its parent.
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
