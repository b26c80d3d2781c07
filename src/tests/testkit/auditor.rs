//! The auditor's program and `headwater export`, as a shell would run them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

use serde_json::Value;

use crate::programs;

/// Runs `headwater export` with these words in a folder, as whoever the URL says.
pub fn export(dir: &Path, database: &str, words: &[&str]) -> Output {
    let mut program = Command::new(programs::headwater());
    program.args(["export", "--json"]).args(words).env("HEADWATER_DATABASE_URL", database).current_dir(dir);
    program.output().unwrap()
}

/// The same, which has to succeed, and what was said of it.
pub fn exported(dir: &Path, database: &str, words: &[&str]) -> Value {
    let output = export(dir, database, words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Runs `headwater-replay` in a folder; it is told of nothing but files.
pub fn replay(dir: &Path, words: &[&str]) -> (Option<i32>, Value) {
    let output = Command::new(auditor()).args(words).arg("--json").env_clear().current_dir(dir).output().unwrap();
    let said = serde_json::from_slice(&output.stdout);
    (output.status.code(), said.unwrap_or_else(|_| panic!("{words:?}: {}", String::from_utf8_lossy(&output.stderr))))
}

/// The auditor's program belongs to another package: it lies beside ours if all was built, and is built if it is not there
/// or older than its sources.
fn auditor() -> PathBuf {
    let path = programs::beside("headwater-replay");
    let root = programs::checkout();
    let built = path.metadata().and_then(|there| there.modified()).ok();
    let sources = ["schema/src", "projections/src", "replay/src"].map(|folder| newest(&root.join(folder)));
    if built.is_none_or(|built| sources.iter().any(|source| *source > built)) {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let build = ["build", "--quiet", "--workspace", "--bin", "headwater-replay"];
        assert!(Command::new(cargo).args(build).current_dir(root).status().unwrap().success());
    }
    path
}

fn newest(folder: &Path) -> SystemTime {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let changed = paths.map(|path| match path.is_dir() {
        true => newest(&path),
        false => path.metadata().unwrap().modified().unwrap(),
    });
    changed.max().unwrap_or(SystemTime::UNIX_EPOCH)
}
