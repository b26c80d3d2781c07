//! The reason of a request whose sender gives none: its bundles, and the Git commit of the folder that the manifests are in.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::manifest::declared::Declaration;

/// Digits of a commit.
const COMMIT_DIGITS: usize = 12;

/// The reason; none if there is no bundle and no commit.
pub(super) fn of(declared: &Declaration, paths: &[PathBuf]) -> Option<String> {
    let bundles = declared.bundles.iter().map(|bundle| format!("bundle {}", bundle.id));
    let folder = paths.iter().find(|path| path.exists()).map(|path| match path.is_dir() {
        true => path.as_path(),
        false => path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")),
    });
    let commit = folder.and_then(commit).into_iter();
    let parts: Vec<String> = bundles.chain(commit).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The commit that is checked out, if `git` is there and knows one.
fn commit(folder: &Path) -> Option<String> {
    let status = Command::new("git")
        // Nothing of the repository's own configuration is run.
        .args(["--no-optional-locks", "-c", "core.fsmonitor=false", "-C"])
        .arg(folder)
        .args(["status", "--porcelain=v2", "--branch", "--", "."])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    describe(&String::from_utf8_lossy(&status.stdout))
}

fn describe(status: &str) -> Option<String> {
    let commit = status.lines().find_map(|line| line.strip_prefix("# branch.oid "))?;
    let is_digest = commit.len() >= COMMIT_DIGITS && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    let changes = if status.lines().any(|line| !line.starts_with('#')) { " with local changes" } else { "" };
    is_digest.then(|| format!("commit {commit:.COMMIT_DIGITS$}{changes}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_named_and_what_is_not_committed_is_said() {
        let head = "# branch.oid 0123456789abcdef0123456789abcdef01234567\n# branch.head main\n";
        assert_eq!(describe(head).as_deref(), Some("commit 0123456789ab"));
        assert_eq!(describe(&format!("{head}? new.yaml\n")).as_deref(), Some("commit 0123456789ab with local changes"));
        assert_eq!(describe("# branch.oid (initial)\n"), None);
        assert_eq!(describe(""), None);
    }
}
