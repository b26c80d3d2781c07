//! Empties the demo's folder.
//!
//! Invariants: a folder is emptied only if it has the marker file of a demo, and only while no process has it open. The marker
//! and the lock stay, so that the next demo completes an interrupted emptying.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::folder::Folder;
use crate::{Error as LabError, private_file};

/// The marker file.
const MARK: &str = "made-by-headwater-demo";
/// Its content.
const MARK_TEXT: &str = "The next `headwater demo` on this folder removes all of it.\n";
/// Names that stay when the folder is emptied.
const KEPT: [&str; 2] = [MARK, "lock"];

/// Why the folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No demo made it.
    #[error(
        "{} is not empty and no demo made it, so it is left alone: name another folder with --dir, or remove it",
        .0.display()
    )]
    NotADemos(PathBuf),
    /// It can't be emptied or created.
    #[error("could not make {} anew", .0.display())]
    File(PathBuf, #[source] std::io::Error),
    /// A demo has it open, or it can't be used.
    #[error(transparent)]
    Lab(#[from] LabError),
}

/// Creates `dir`, or empties it if an earlier demo made it.
pub(super) fn recreate(dir: &Path) -> Result<(), Error> {
    let failed = |source| Error::File(dir.to_path_buf(), source);
    if is_empty(dir).map_err(failed)? {
        fs::create_dir_all(dir).map_err(failed)?;
        return fs::write(dir.join(MARK), MARK_TEXT).map_err(failed);
    }
    if !dir.join(MARK).is_file() {
        return Err(Error::NotADemos(dir.to_path_buf()));
    }
    // Opening locks the folder, and ends processes that a killed demo left running there.
    let _lock = Folder::open(dir)?;
    empty(dir, failed)
}

fn is_empty(dir: &Path) -> std::io::Result<bool> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

fn empty(dir: &Path, failed: impl Fn(std::io::Error) -> Error) -> Result<(), Error> {
    for entry in fs::read_dir(dir).map_err(&failed)? {
        let entry = entry.map_err(&failed)?;
        if KEPT.iter().any(|kept| entry.file_name() == *kept) {
            continue;
        }
        // A link is removed as a link.
        match entry.file_type().map_err(&failed)?.is_dir() {
            true => private_file::remove_folder(&entry.path())?,
            false => fs::remove_file(entry.path()).map_err(&failed)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use super::*;

    #[test]
    fn what_an_earlier_demo_left_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let demo = dir.path().join("a/demo");
        recreate(&demo).unwrap();
        let elsewhere = dir.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("file"), "stays").unwrap();
        std::os::unix::fs::symlink(&elsewhere, demo.join("postgres")).unwrap();
        fs::create_dir_all(demo.join("nodes/node-1")).unwrap();
        fs::write(demo.join("ports.json"), "{}").unwrap();

        recreate(&demo).unwrap();
        let mut left: Vec<_> = fs::read_dir(&demo).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["lock", MARK]);
        assert!(elsewhere.join("file").exists(), "what a link leads to is not the demo's");
    }

    #[test]
    fn a_folder_that_no_demo_made_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.tex"), "").unwrap();
        assert!(matches!(recreate(dir.path()), Err(Error::NotADemos(_))));
        assert!(dir.path().join("thesis.tex").exists());
    }

    #[test]
    fn a_demo_that_runs_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        recreate(dir.path()).unwrap();
        let _running = Folder::open(dir.path()).unwrap();
        fs::write(dir.path().join("dev.json"), "{}").unwrap();
        assert!(matches!(recreate(dir.path()), Err(Error::Lab(LabError::Locked(_)))));
        assert!(dir.path().join("dev.json").exists());
    }
}
