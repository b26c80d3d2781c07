//! Runs the operator's command for one job: with a timeout, and only while the lease lasts.
//!
//! Invariants: when the command has ended, timed out or lost its lease, all its children are killed; they also die with the
//! agent, even by SIGKILL: a guard process in their group reads from a pipe that closes then. Output beyond the limit is read and
//! discarded, so that the command does not block.

use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use schema::id::JobId;
use schema::limit::EVIDENCE_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Child;
use tokio::time::{sleep, timeout};

use crate::shell::{self, ProcessGroup, describe_exit};

/// How long the rest of the output may take after all processes were killed.
const OUTPUT_WITHIN: Duration = Duration::from_secs(1);
/// Limit of the last line of the evidence: how the command ended, and how much was cut.
const LAST_LINE_BYTES_MAX: usize = 160;

/// stderr goes into stdout, in order. The guard process reads from the pipe until the agent has closed it.
const SCRIPT: &str = r#"
exec 3<&0 </dev/null 2>&1
(read -r _ <&3; kill -KILL 0) >/dev/null 2>&1 &
exec 3<&-
sh -c "$1"
"#;

/// A run of one job.
#[derive(Clone, Debug)]
pub struct JobCommand {
    /// What `sh -c` runs; `{}` in it is the path of the spec.
    pub command: String,
    /// In HEADWATER_JOB_ID.
    pub job: JobId,
    /// The path of its spec.
    pub spec: PathBuf,
    /// After this it is killed.
    pub timeout: Duration,
}

/// The outcome of a command that ended or timed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOutcome {
    /// `passed`, `failed` or `timed_out`.
    pub outcome: &'static str,
    /// Its output, up to the limit, and how it ended.
    pub evidence: String,
}

enum CommandEnd {
    Exited(ExitStatus),
    TimedOut,
    LeaseLost,
}

impl JobCommand {
    /// Runs the command until it ends, or `lost` completes: then it is killed, and there is no outcome.
    ///
    /// # Errors
    /// If it can't be started, which says nothing about the job.
    pub async fn run(&self, lost: impl Future<Output = ()>) -> io::Result<Option<RunOutcome>> {
        let mut child = self.start()?;
        let mut group = ProcessGroup::led_by(child.id());
        // The write end of the guard's pipe. `Child::wait` would close it, so it is taken out.
        let _guard = child.stdin.take();
        let (mut output, mut stdout) = (CapturedOutput::default(), child.stdout.take());
        let end = tokio::select! {
            biased;
            () = lost => CommandEnd::LeaseLost,
            status = wait_and_read(&mut child, &mut stdout, &mut output) => CommandEnd::Exited(status?),
            () = sleep(self.timeout) => CommandEnd::TimedOut,
        };
        group.kill();
        let _ = timeout(OUTPUT_WITHIN, output.read_from(&mut stdout)).await;
        let _ = child.wait().await;
        let limit = self.timeout.as_secs_f32();
        Ok(match end {
            CommandEnd::LeaseLost => None,
            CommandEnd::TimedOut => Some(output.outcome("timed_out", &format!("killed after {limit} s"))),
            CommandEnd::Exited(status) if status.success() => Some(output.outcome("passed", "")),
            CommandEnd::Exited(status) => Some(output.outcome("failed", &describe_exit(status))),
        })
    }

    fn start(&self) -> io::Result<Child> {
        shell::command(&["-c", SCRIPT, "sh", &shell::script(&self.command, &self.spec)])
            .env("HEADWATER_JOB", &self.spec)
            .env("HEADWATER_JOB_ID", self.job.as_str())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
    }
}

/// Waits for the command and reads its output meanwhile: on a full pipe it would never end.
async fn wait_and_read(
    child: &mut Child,
    stdout: &mut Option<impl AsyncRead + Unpin>,
    output: &mut CapturedOutput,
) -> io::Result<ExitStatus> {
    tokio::select! {
        status = child.wait() => return status,
        () = output.read_from(stdout) => {}
    }
    child.wait().await
}

#[derive(Default)]
struct CapturedOutput {
    kept: Vec<u8>,
    cut: usize,
}

impl CapturedOutput {
    /// Reads to the end. Cancel-safe.
    async fn read_from(&mut self, from: &mut Option<impl AsyncRead + Unpin>) {
        let Some(from) = from else { return };
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut chunk).await {
            let fits = count.min(EVIDENCE_BYTES_MAX - self.kept.len());
            self.kept.extend_from_slice(&chunk[..fits]);
            self.cut += count - fits;
        }
    }

    fn outcome(&self, outcome: &'static str, how: &str) -> RunOutcome {
        RunOutcome { outcome, evidence: evidence(&self.kept, self.cut, how) }
    }
}

/// Text that fits the log. Invalid UTF-8 and control characters are replaced, which also keeps its JSON form small.
fn evidence(printed: &[u8], mut cut: usize, how: &str) -> String {
    let is_plain = |next: char| !next.is_control() || matches!(next, '\n' | '\t');
    let printed = String::from_utf8_lossy(printed);
    let mut text: String = printed.chars().map(|next| if is_plain(next) { next } else { '\u{fffd}' }).collect();
    let most = EVIDENCE_BYTES_MAX - LAST_LINE_BYTES_MAX;
    if text.len() > most {
        let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        cut += text.len() - end;
        text.truncate(end);
    }
    let cut = if cut > 0 { format!("{cut} more bytes were cut") } else { String::new() };
    let notes: Vec<&str> = [how, &cut].into_iter().filter(|note| !note.is_empty()).collect();
    if !notes.is_empty() {
        let line = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        text = format!("{text}{line}[{}]\n", notes.join("; "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_fits_the_log() {
        for (printed, cut, how, text) in [
            (&b"fine\n"[..], 0, "", "fine\n"),
            (b"bad", 0, "ended with 3", "bad\n[ended with 3]\n"),
            (b"", 0, "killed after 1 s", "[killed after 1 s]\n"),
            (b"a\0b\x1b[1m\xff", 7, "", "a\u{fffd}b\u{fffd}[1m\u{fffd}\n[7 more bytes were cut]\n"),
        ] {
            assert_eq!(evidence(printed, cut, how), text);
        }
        for worst in [b'a', 0, 0xff, b'"'] {
            let text = evidence(&vec![worst; EVIDENCE_BYTES_MAX], usize::MAX >> 8, "was ended by signal 11");
            assert!(text.len() <= EVIDENCE_BYTES_MAX, "{}", text.len());
            assert!(serde_json::to_string(&text).expect("text").len() < 3 * EVIDENCE_BYTES_MAX);
        }
    }
}
