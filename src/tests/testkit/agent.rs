//! An agent under test, in this process or in one of its own that can be killed, and what lies in its folder.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use agent::main_loop;
use agent::options::Options;
use clap::Parser;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The ignored test of a binary that calls [`be_agent`].
const PROCESS: &str = "agent_process";
/// The variable that tells a process of this test to be an agent.
const ARGUMENTS: &str = "HEADWATER_TEST_AGENT";

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

pub fn options(arguments: &[&str]) -> Options {
    Line::parse_from([&["edge"], arguments].concat()).options
}

/// The agent of a process of its own, for the tests that kill agents: the body of a test named `PROCESS`.
pub fn be_agent() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else { return };
    let options = options(&arguments.lines().collect::<Vec<_>>());
    program::telemetry::init().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(main_loop::run(options, CancellationToken::new())).unwrap();
}

/// An agent, and the folder that outlives it.
pub struct Agent {
    pub dir: TempDir,
    arguments: Vec<String>,
    running: Option<(CancellationToken, JoinHandle<Result<(), main_loop::Error>>)>,
}

impl Agent {
    pub fn of(url: &str, more: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        let mut arguments: Vec<String> = ["--node", "n-1", "--dir", path, "--nats-url", url].map(str::to_owned).into();
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        Self { dir, arguments, running: None }
    }

    pub fn start(url: &str, more: &[&str]) -> Self {
        let mut agent = Self::of(url, more);
        agent.run();
        agent
    }

    pub fn options(&self) -> Options {
        options(&self.arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    pub fn run(&mut self) {
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(main_loop::run(self.options(), shutdown.clone()));
        self.running = Some((shutdown, running));
    }

    pub async fn stop(&mut self) {
        let (shutdown, running) = self.running.take().unwrap();
        shutdown.cancel();
        running.await.unwrap().unwrap();
    }

    /// Why it ends by itself.
    pub async fn fails(&mut self) -> main_loop::Error {
        let (_shutdown, running) = self.running.take().unwrap();
        let ended = tokio::time::timeout(crate::fake_server::PATIENCE, running).await;
        ended.expect("it ends").unwrap().expect_err("it ends for a reason")
    }

    /// The same agent as a process of its own.
    pub fn process(&self) -> Process {
        self.process_saying(Stdio::null())
    }

    /// The same, and where its log goes.
    pub fn process_saying(&self, log: Stdio) -> Process {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", PROCESS, "--ignored"])
            .env(ARGUMENTS, self.arguments.join("\n"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Process(child)
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// Every file below `current`.
    pub fn tree(&self) -> BTreeMap<String, Vec<u8>> {
        files(&self.path("current/"))
    }

    /// Every file of the folder that a refusal must not touch, without the word that something was refused.
    pub fn everything(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = files(self.dir.path());
        let mut state: serde_json::Value = serde_json::from_slice(&files["state.json"]).unwrap();
        state["attempt"].take();
        files.insert("state.json".into(), state.to_string().into());
        files.insert("-> current".into(), link(&self.path("current")));
        files
    }
}

/// A process that is killed when it goes.
pub struct Process(Child);

impl Process {
    /// A line of `/proc/<pid>/status` that counts memory.
    pub fn kilobytes(&self, line: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find_map(|found| found.strip_prefix(line)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

pub fn link(path: &Path) -> Vec<u8> {
    fs::read_link(path).map(|to| to.to_string_lossy().into_owned().into_bytes()).unwrap_or_default()
}

/// Every file and folder below, folders with a slash; each must have the modes that the contract names.
pub fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    walk(root, Path::new(""), &mut found);
    found
}

fn walk(root: &Path, below: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(root.join(below)).unwrap() {
        let place = below.join(entry.unwrap().file_name());
        let (path, name) = (root.join(&place), place.to_str().unwrap().to_owned());
        // It is there for the moment in which the word of a refusal is being kept.
        if name == ".state.json.new" {
            continue;
        }
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            assert_eq!(meta.permissions().mode() & 0o7777, 0o755, "{name}");
            found.insert(format!("{name}/"), Vec::new());
            walk(root, &place, found);
        } else if meta.is_file() {
            let mode = if name == "node.seed" { 0o600 } else { 0o644 };
            assert_eq!(meta.permissions().mode() & 0o7777, mode, "{name}");
            found.insert(name, fs::read(path).unwrap());
        }
    }
}

/// The tree that these files make.
pub fn expected(wanted: &[(&str, &[u8])]) -> BTreeMap<String, Vec<u8>> {
    let mut tree: BTreeMap<String, Vec<u8>> = [("files/".to_owned(), vec![]), ("jobs/".to_owned(), vec![])].into();
    for (path, content) in wanted {
        let path = if path.starts_with("jobs/") { (*path).to_owned() } else { format!("files/{path}") };
        for (slash, _) in path.match_indices('/') {
            tree.insert(path[..=slash].to_owned(), vec![]);
        }
        tree.insert(path, content.to_vec());
    }
    tree
}
