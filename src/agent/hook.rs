//! The operator's check and hook: shell commands with a time limit.
//!
//! What always holds: when a command has ended or passed its limit, all its children are killed, except those of a hook that
//! said yes; only the tail of what it printed is kept in memory.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use schema::report::RecordRef;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Child;
use tokio::time::timeout;

use crate::apply_error::ApplyError;
use crate::shell::{self, Group, how_it_ended};

/// How much of each output is reported: both tails and the sentence before them fit the 4 KiB that the log keeps.
const TAIL_BYTES: usize = 1_900;
/// How long a child that survives its parent may hold the output open before it is reported without.
const OUTPUT_WITHIN: Duration = Duration::from_secs(1);

/// Which of the two.
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

/// A command of the operator.
#[derive(Clone, Debug)]
pub struct Hook {
    /// When it runs.
    pub moment: HookPhase,
    /// What `sh -c` runs; `{}` in it is the path of the tree.
    pub command: String,
    /// How long it may take.
    pub within: Duration,
}

impl Hook {
    /// Runs the command on `tree`, the generation of `mark`.
    ///
    /// # Errors
    /// [`ApplyError::HookRejected`] if it ends other than with 0, or not in time; [`ApplyError::Disk`] if it can't be started, which says
    /// nothing about the tree.
    pub async fn run(&self, tree: &Path, mark: RecordRef) -> Result<(), ApplyError> {
        let name = self.moment.name();
        let mut child = self.start(tree, mark).map_err(ApplyError::disk("start a command for", tree))?;
        let mut group = Group::led_by(child.id());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let output = tokio::spawn(async move { tokio::join!(tail(stdout), tail(stderr)) });
        let ended = timeout(self.within, child.wait()).await;
        match &ended {
            // What a hook leaves behind on purpose, such as the service that it started, lives on. A check has nothing to
            // leave, and after a no nobody wants what was left.
            Ok(Ok(status)) if status.success() && self.moment == HookPhase::Apply => group.release(),
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
            Ok(Ok(status)) => rejected(self.moment.rejected(), how_it_ended(status)),
            Ok(Err(error)) => Err(ApplyError::disk("wait for a command on", tree)(error)),
            Err(_) => {
                let _ = child.wait().await;
                rejected(self.moment.timed_out(), format!("took longer than {} s", self.within.as_secs_f32()))
            }
        }
    }

    fn start(&self, tree: &Path, mark: RecordRef) -> std::io::Result<Child> {
        shell::command(&["-c", &shell::script(&self.command, tree)])
            .env("HEADWATER_TREE", tree)
            .env("HEADWATER_POSITION", mark.position.to_string())
            .env("HEADWATER_DIGEST", mark.digest.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }
}

/// The last bytes of an output.
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
