//! A running `headwater dev`, for the laws of whatever needs one.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use lab::dev::DevJson;
use rustix::process::{Pid, Signal, kill_process};

/// How long anything here may take before it counts as never.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);

/// A folder that PostgreSQL's account may enter, so that all of `dev` is in it and goes with it.
pub(crate) fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
    dir
}

/// A running `headwater dev`; it is ended when this goes, and all its children with it.
pub(crate) struct Dev {
    pub(crate) program: Child,
    pub(crate) dir: PathBuf,
    pub(crate) json: DevJson,
}

impl Dev {
    /// Starts it, and waits until it says where everything is.
    pub(crate) fn start(dir: &Path, nodes: u16) -> Self {
        Self::start_with(dir, nodes, &[])
    }

    /// The same, with more arguments.
    pub(crate) fn start_with(dir: &Path, nodes: u16, arguments: &[&str]) -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_headwater"))
            .args(["dev", "--json", "--nodes", &nodes.to_string(), "--dir"])
            .arg(dir)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let line = lines(&mut program).recv_timeout(DEADLINE);
        let line = line.inspect_err(|_| drop(program.kill())).expect("dev says where everything is");
        Self { program, dir: dir.to_owned(), json: serde_json::from_str(&line).unwrap() }
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if matches!(self.program.try_wait(), Ok(Some(_))) {
            return;
        }
        // In order, so that nothing still writes into a folder that is being removed.
        kill(self.program.id(), Signal::TERM);
        let deadline = Instant::now() + DEADLINE;
        while matches!(self.program.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _gone = self.program.kill();
        let _reaped = self.program.wait();
    }
}

pub(crate) fn kill(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

/// What a child says, line by line.
pub(crate) fn lines(child: &mut Child) -> Receiver<String> {
    let output = BufReader::new(child.stdout.take().unwrap());
    let (said, heard) = mpsc::channel();
    std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| said.send(line)));
    heard
}
