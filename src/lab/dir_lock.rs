//! Locks a folder for one process.
//!
//! The kernel releases the lock when the process ends, however it ends; the file stays.

use std::fs::{File, OpenOptions};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::Error;

/// Held until it is dropped.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Locks `dir`; [`Error::Locked`] if another process has it.
    pub fn acquire(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| Error::file("open", &path, error))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(Errno::WOULDBLOCK) => Err(Error::Locked(dir.to_path_buf())),
            Err(error) => Err(Error::file("lock", &path, error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use super::*;

    #[test]
    fn a_folder_is_locked_by_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let held = DirLock::acquire(dir.path()).unwrap();
        assert!(matches!(DirLock::acquire(dir.path()), Err(Error::Locked(_))));
        drop(held);
        // A child that another test has just forked has the descriptor, too, until its exec.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while DirLock::acquire(dir.path()).is_err() {
            assert!(std::time::Instant::now() < deadline, "the lock outlived its holder");
            std::thread::yield_now();
        }
    }
}
