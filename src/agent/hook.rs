//! The operator's check and apply hook: shell commands with a timeout.
//!
//! Invariants: when a command has ended or timed out, all its children are killed, except those of an apply hook that succeeded;
//! only the tail of its output is kept in memory.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use schema::report::RecordRef;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Child;
use tokio::time::timeout;

use crate::apply_error::ApplyError;
use crate::shell::{self, ProcessGroup, describe_exit};

/// How much of stdout and of stderr is reported: both and the sentence before them fit the 4 KiB that the log keeps.
const TAIL_BYTES: usize = 1_900;
/// How long a child that survives its parent may keep the output open before the agent reports without it.
const OUTPUT_WITHIN: Duration = Duration::from_secs(1);

/// When a hook runs, relative to the switch of `current`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookPhase {
    /// Before the switch.
    Check,
    /// After the switch.
    Apply,
}

impl HookPhase {
    const fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Apply => "apply",
        }
    }

    const fn rejected(self) -> &'static str {
        match self {
            Self::Check => "check_rejected",
            Self::Apply => "apply_rejected",
        }
    }

    const fn timed_out(self) -> &'static str {
        match self {
            Self::Check => "check_timed_out",
            Self::Apply => "apply_timed_out",
        }
    }
}

/// A command of the operator, and when it runs.
#[derive(Clone, Debug)]
pub struct Hook {
    /// Before or after the switch.
    pub phase: HookPhase,
    /// What `sh -c` runs; `{}` in it is the path of the tree.
    pub command: String,
    /// After this it is killed, and counts as a rejection.
    pub timeout: Duration,
}

impl Hook {
    /// Runs the command on `tree`, the generation of `record_ref`.
    ///
    /// # Errors
    /// [`ApplyError::HookRejected`] if its exit code is not 0, or it times out; [`ApplyError::Disk`] if it can't be started,
    /// which says nothing about the tree.
    pub async fn run(&self, tree: &Path, record_ref: RecordRef) -> Result<(), ApplyError> {
        let name = self.phase.name();
        let mut child = self.start(tree, record_ref).map_err(ApplyError::disk("start a command for", tree))?;
        let mut group = ProcessGroup::led_by(child.id());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let output = tokio::spawn(async move { tokio::join!(tail(stdout), tail(stderr)) });
        let ended = timeout(self.timeout, child.wait()).await;
        match &ended {
            // An apply hook may start a service on purpose. A check starts nothing that should live, and after a rejection
            // the agent goes back to the last good generation.
            Ok(Ok(status)) if status.success() && self.phase == HookPhase::Apply => group.release(),
            _ => group.kill(),
        }
        let (stdout, stderr) = match timeout(OUTPUT_WITHIN, output).await {
            Ok(Ok(output)) => output,
            _ => (Vec::new(), Vec::new()),
        };
        let printed = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
        let printed = printed.iter().filter(|text| !text.is_empty()).cloned().collect::<Vec<_>>().join("\n");
        let rejected =
            |code, how: String| Err(ApplyError::HookRejected { code, output: format!("{name} {how}\n{printed}") });
        match ended {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => rejected(self.phase.rejected(), describe_exit(status)),
            Ok(Err(error)) => Err(ApplyError::disk("wait for a command on", tree)(error)),
            Err(_) => {
                let _ = child.wait().await;
                rejected(self.phase.timed_out(), format!("took longer than {} s", self.timeout.as_secs_f32()))
            }
        }
    }

    fn start(&self, tree: &Path, record_ref: RecordRef) -> std::io::Result<Child> {
        shell::command(&["-c", &shell::script(&self.command, tree)])
            .env("HEADWATER_TREE", tree)
            .env("HEADWATER_POSITION", record_ref.position.to_string())
            .env("HEADWATER_DIGEST", record_ref.digest.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }
}

async fn tail(output: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let Some(mut output) = output else { return Vec::new() };
    let (mut tail, mut chunk) = (Vec::new(), [0; 1024]);
    while let Ok(count @ 1..) = output.read(&mut chunk).await {
        tail.extend_from_slice(&chunk[..count]);
        let surplus = tail.len().saturating_sub(TAIL_BYTES);
        tail.drain(..surplus);
    }
    tail
}
