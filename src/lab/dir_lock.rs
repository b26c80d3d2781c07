//! One process at a time on a folder.
//!
//! The lock is the kernel's and goes with the process that holds it, however that ends; the file stays.

use std::fs::{File, OpenOptions};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::Error;

/// Held for as long as this lives.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Takes the lock of `dir`, or says that another has it.
    pub fn take(dir: &Path) -> Result<Self, Error> {
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
        let held = DirLock::take(dir.path()).unwrap();
        assert!(matches!(DirLock::take(dir.path()), Err(Error::Locked(_))));
        drop(held);
        // A child that another test is just starting holds what we held until it has become its program.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while DirLock::take(dir.path()).is_err() {
            assert!(std::time::Instant::now() < deadline, "the lock outlived its holder");
            std::thread::yield_now();
        }
    }
}
