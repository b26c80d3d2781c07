//! The operator's command for one job: with a time limit, and only as long as it may.
//!
//! What always holds: when it has ended, passed its limit or may not go on, all its children are killed; they die with the
//! runtime, too, however that ends: a guard in their group reads from a pipe that closes then. What is printed beyond the
//! limit is read and thrown away, so that nothing blocks.

use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use schema::id::JobId;
use schema::limit::EVIDENCE_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Child;
use tokio::time::{sleep, timeout};

use crate::shell::{self, Group, how_it_ended};

/// How long what was printed may take to arrive after all that could print was killed.
const OUTPUT_WITHIN: Duration = Duration::from_secs(1);
/// Bytes of the line in which the evidence says how the command ended, and how much was cut.
const LAST_LINE_BYTES_MAX: usize = 160;

/// Both outputs go where the first does, in the order in which they were written. The guard waits for the end of the pipe.
const SCRIPT: &str = r#"
exec 3<&0 </dev/null 2>&1
(read -r _ <&3; kill -KILL 0) >/dev/null 2>&1 &
exec 3<&-
sh -c "$1"
"#;

/// One run that is to be.
#[derive(Clone, Debug)]
pub struct JobCommand {
    /// What `sh -c` runs; `{}` in it is the path of the spec.
    pub command: String,
    /// Which job.
    pub job: JobId,
    /// Where its spec lies.
    pub spec: PathBuf,
    /// How long it may take.
    pub within: Duration,
}

/// What a command that was left to its end came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOutcome {
    /// `passed`, `failed` or `timed_out`.
    pub outcome: &'static str,
    /// What it printed, up to the limit, and how it ended.
    pub evidence: String,
}

enum CommandEnd {
    Exited(ExitStatus),
    TimedOut,
    LeaseLost,
}

impl JobCommand {
    /// Runs the command until it ends, or `lost` comes: then it is killed, and came to nothing.
    ///
    /// # Errors
    /// If it can't be started, which says nothing about the job.
    pub async fn run(&self, lost: impl Future<Output = ()>) -> io::Result<Option<RunOutcome>> {
        let mut child = self.start()?;
        let mut group = Group::led_by(child.id());
        // Held until the end: waiting for a child would close it.
        let _guard = child.stdin.take();
        let (mut output, mut stdout) = (Output::default(), child.stdout.take());
        let end = tokio::select! {
            biased;
            () = lost => CommandEnd::LeaseLost,
            status = ended(&mut child, &mut stdout, &mut output) => CommandEnd::Exited(status?),
            () = sleep(self.within) => CommandEnd::TimedOut,
        };
        group.kill();
        let _ = timeout(OUTPUT_WITHIN, output.take(&mut stdout)).await;
        let _ = child.wait().await;
        let limit = self.within.as_secs_f32();
        Ok(match end {
            CommandEnd::LeaseLost => None,
            CommandEnd::TimedOut => Some(output.verdict("timed_out", &format!("killed after {limit} s"))),
            CommandEnd::Exited(status) if status.success() => Some(output.verdict("passed", "")),
            CommandEnd::Exited(status) => Some(output.verdict("failed", &how_it_ended(status))),
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

/// Reads while it waits, or a command that prints much would never end.
async fn ended(
    child: &mut Child,
    stdout: &mut Option<impl AsyncRead + Unpin>,
    output: &mut Output,
) -> io::Result<ExitStatus> {
    tokio::select! {
        status = child.wait() => return status,
        () = output.take(stdout) => {}
    }
    child.wait().await
}

/// What was printed, up to the limit.
#[derive(Default)]
struct Output {
    kept: Vec<u8>,
    cut: usize,
}

impl Output {
    /// Reads to the end. Whoever stops waiting loses nothing that was read.
    async fn take(&mut self, from: &mut Option<impl AsyncRead + Unpin>) {
        let Some(from) = from else { return };
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut chunk).await {
            let fits = count.min(EVIDENCE_BYTES_MAX - self.kept.len());
            self.kept.extend_from_slice(&chunk[..fits]);
            self.cut += count - fits;
        }
    }

    fn verdict(&self, outcome: &'static str, how: &str) -> RunOutcome {
        RunOutcome { outcome, evidence: evidence(&self.kept, self.cut, how) }
    }
}

/// Text that fits the log: what is no text, or would speak to a terminal, is replaced, which also keeps its JSON small.
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
