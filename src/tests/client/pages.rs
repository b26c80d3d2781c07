//! The `sh` blocks of the README and of the tutorial, run as they stand, each page on the fleet that it starts itself.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

use crate::running::{DEADLINE, folder, kill, lines};
use rustix::process::Signal;
use testkit::programs;
use testkit::skipped::did_not_run;

/// What the blocks need that `make setup` installs where it is missing.
const TOOLS: [&str; 2] = ["curl", "jq"];
/// The section of the README whose blocks come first.
const TRY_IT: &str = "Try it";

/// A block of shell commands, below its heading.
struct Block {
    heading: String,
    text: String,
}

impl Block {
    /// Whether it is for a terminal of its own, because its command does not end.
    fn starts_dev(&self) -> bool {
        self.text.lines().any(|line| line.starts_with("headwater dev"))
    }
}

/// The fenced blocks of a page that are shell.
fn blocks(page: &str) -> Vec<Block> {
    let text = fs::read_to_string(programs::checkout().join(page)).unwrap();
    let (mut blocks, mut heading, mut inside): (Vec<Block>, _, Option<bool>) = (Vec::new(), String::new(), None);
    for line in text.lines() {
        let trimmed = line.trim_start();
        if let Some(language) = trimmed.strip_prefix("```") {
            inside = if inside.is_some() { None } else { Some(language == "sh") };
            if inside == Some(true) {
                blocks.push(Block { heading: heading.clone(), text: String::new() });
            }
        } else if inside == Some(true) {
            let block = blocks.last_mut().unwrap();
            block.text += &format!("{line}\n");
        } else if inside.is_none() && trimmed.starts_with('#') {
            heading = trimmed.trim_start_matches('#').trim().to_owned();
        }
    }
    assert!(blocks.len() > 2, "{page} has blocks");
    blocks
}

/// A `headwater dev` that a block has started, in the first of two terminals.
struct FirstTerminal {
    shell: Child,
    said: Receiver<String>,
}

impl FirstTerminal {
    fn open(block: &Block, dir: &Path) -> Self {
        let mut shell = shell(&block.text, dir).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let said = lines(&mut shell);
        let terminal = Self { shell, said };
        while terminal.said.recv_timeout(DEADLINE).expect("dev says that it runs") != "Ctrl-C stops it all." {}
        terminal
    }

    /// The shell's child, or the shell if it has become that.
    fn dev(&self) -> u32 {
        let shell = self.shell.id();
        let children = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap_or_default();
        children.split_whitespace().next().map_or(shell, |child| child.parse().unwrap())
    }
}

impl Drop for FirstTerminal {
    fn drop(&mut self) {
        kill(self.dev(), Signal::TERM);
        // Whoever writes there has ended, and all that it started.
        let ends = Instant::now() + DEADLINE;
        while Instant::now() < ends && self.said.recv_timeout(DEADLINE) != Err(RecvTimeoutError::Disconnected) {}
        let _reaped = self.shell.wait();
    }
}

/// A shell that stops at the first failure, and finds the programs of this build.
fn shell(text: &str, dir: &Path) -> Command {
    let mut shell = Command::new("sh");
    let bin = programs::headwater().parent().unwrap().to_owned();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HEADWATER_")) {
        shell.env_remove(name);
    }
    shell.args(["-euc", text]).env("PATH", path).current_dir(dir).stdin(Stdio::null());
    shell
}

/// Runs the blocks of a page, and gives what they said. None if this machine lacks a tool.
fn run(page: &str, test: &str) -> Option<String> {
    let is_missing = |tool: &&str| Command::new(tool).arg("--version").stdout(Stdio::null()).status().is_err();
    if let Some(tool) = TOOLS.into_iter().find(is_missing) {
        did_not_run(test, &format!("there is no {tool}"));
        return None;
    }
    let mut blocks = blocks(page);
    blocks.sort_by_key(|block| block.heading != TRY_IT);
    let dir = folder();
    // A reader is at the root of the checkout.
    std::os::unix::fs::symlink(programs::checkout().join("schema"), dir.path().join("schema")).unwrap();
    let first = blocks.iter().position(Block::starts_dev).expect("a block that starts dev");
    let terminal = FirstTerminal::open(&blocks.remove(first), dir.path());
    let second: String = blocks.into_iter().map(|block| block.text).collect();
    let ended = shell(&format!("set -x\n{second}"), dir.path()).output().unwrap();
    drop(terminal);
    let (said, traced) =
        (String::from_utf8(ended.stdout).unwrap(), String::from_utf8_lossy(&ended.stderr).into_owned());
    assert!(ended.status.success(), "{page}: {}\n{said}\n{traced}", ended.status);
    Some(said)
}

/// Looks for texts in their order.
fn says_in_order(said: &str, texts: &[&str]) {
    let mut rest = said;
    for text in texts {
        let found = rest.split_once(text);
        rest = found.unwrap_or_else(|| panic!("{text:?} is not said, or too early:\n{said}")).1;
    }
}

#[test]
fn the_blocks_of_the_readme_run_as_they_stand() {
    let Some(said) = run("README.md", "the_blocks_of_the_readme_run_as_they_stand") else { return };
    let texts = [
        "+ document/daq-pipeline-node-1",
        "done at position",
        "\"workers\": 6",
        "+++ node-3/",
        "site/network.json",
        "exit code 1: it would change something",
        "B from document/daq-pipeline-node-1,",
        "BundleAssigned bundle/facility",
        "All is well",
        "stage canary: 1 of 3, first node-",
        "promoted: ",
        "which is trusted",
        "3 nodes as of position",
    ];
    says_in_order(&said, &texts);
}

#[test]
fn the_blocks_of_the_tutorial_run_as_they_stand() {
    let Some(said) = run("docs/tutorial/first-fleet.md", "the_blocks_of_the_tutorial_run_as_they_stand") else {
        return;
    };
    let texts = [
        "node-3",
        "+ etc/motd",
        "hello\n",
        "mark first-words names position",
        "hej\nhello\n",
        "exit code 1: they differ",
        "~ etc/motd",
        "ended with exit code 2",
        "ended with exit code 1",
        "check_rejected",
        "hello\n",
        "+TODO: say something",
        "~ document/motd",
        "hello again\n",
        "All is well",
        "B from document/motd-lund,",
        "B from document/motd,",
        "which is trusted",
        "byte for byte",
    ];
    says_in_order(&said, &texts);
}
