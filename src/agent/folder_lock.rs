//! The lock of a node's folder, which one agent holds at a time; its file also has a note.
//!
//! A lock on a file that was removed or replaced keeps no second agent out, so the holder compares its open file with the one at
//! the path before it writes.
//!
//! The note's disk blocks are allocated when the lock is taken: on a full disk the agent can still store the last attempt there
//! for `edge status`.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use schema::report::{Attempt, truncate_text};

use crate::apply_error::ApplyError;
use crate::layout::Layout;
use crate::regular_file;

/// `edge status` takes the lock for an instant to test it, which must not keep an agent from starting.
const RETRIES_MAX: u32 = 10;
/// The pause between two tries.
const RETRY_EVERY: Duration = Duration::from_millis(20);
/// Size of the note on disk.
const NOTE_BYTES: usize = 8 * 1024;
/// Limit of the detail in the note: each byte may take six in JSON.
const NOTE_DETAIL_BYTES: usize = 1024;

/// Held until it is dropped.
#[derive(Debug)]
pub struct FolderLock {
    dir: PathBuf,
    file: File,
    /// The content of the note.
    note: Option<Attempt>,
}

impl FolderLock {
    /// Takes the lock of the folder `dir`.
    ///
    /// # Errors
    /// [`ApplyError::OtherAgent`] if another process has it; or if the disk fails, or the path is not a file.
    pub fn acquire(dir: &Path) -> Result<Self, ApplyError> {
        let path = path(dir);
        for _ in 0..=RETRIES_MAX {
            let file = open(&path)?;
            match file.try_lock() {
                Ok(()) if is_at(&file, &path)? => {
                    let note = read_note(&Layout::of(dir.to_owned()));
                    let mut lock = Self { dir: dir.to_owned(), file, note: None };
                    lock.set_note(note.as_ref());
                    if note.is_none() {
                        lock.write(b"");
                    }
                    return Ok(lock);
                }
                // The file was removed or replaced between opening and locking.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => std::thread::sleep(RETRY_EVERY),
                Err(TryLockError::Error(error)) => return Err(ApplyError::disk("lock", &path)(error)),
            }
        }
        Err(ApplyError::OtherAgent { dir: dir.to_owned() })
    }

    /// Takes the lock again if its file was removed or replaced.
    ///
    /// # Errors
    /// [`ApplyError::OtherAgent`] if another process has it meanwhile; or if the disk fails.
    pub fn reacquire_if_replaced(&mut self) -> Result<(), ApplyError> {
        if !is_at(&self.file, &path(&self.dir))? {
            tracing::warn!(lock = %path(&self.dir).display(), "lock file was removed or replaced; taking the lock again");
            let lock = Self::acquire(&self.dir)?;
            let note = std::mem::replace(self, lock).note;
            self.set_note(note.as_ref());
        }
        Ok(())
    }

    /// The note, of this holder or an earlier one.
    #[must_use]
    pub fn note(&self) -> Option<&Attempt> {
        self.note.as_ref()
    }

    /// Writes an attempt that `state.json` could not take, or clears the note.
    pub fn set_note(&mut self, attempt: Option<&Attempt>) {
        if self.note.as_ref() != attempt {
            self.note = attempt.cloned();
            let shortened = attempt.map(|attempt| Attempt {
                detail: attempt.detail.as_deref().map(|detail| truncate_text(detail, NOTE_DETAIL_BYTES)),
                ..attempt.clone()
            });
            self.write(&shortened.map(|attempt| serde_json::to_vec(&attempt).unwrap_or_default()).unwrap_or_default());
        }
    }

    /// Overwrites in place, so that it needs no free block. An error is only logged: the report carries the failure itself.
    fn write(&self, text: &[u8]) {
        let mut note = text.to_vec();
        note.resize(NOTE_BYTES, b'\n');
        if let Err(error) = self.file.write_all_at(&note, 0) {
            tracing::debug!(%error, "note in the lock file can't be written");
        }
    }
}

/// The note in a folder's lock file: an attempt that the agent could not write into `state.json`.
#[must_use]
pub fn read_note(layout: &Layout) -> Option<Attempt> {
    let mut text = Vec::new();
    regular_file::open(&layout.lock()).ok()?.take(NOTE_BYTES as u64).read_to_end(&mut text).ok()?;
    serde_json::from_slice(text.trim_ascii_end()).ok()
}

/// Whether an agent holds the lock: tries to take it, and releases it at once.
///
/// # Errors
/// If the lock can't be read.
pub fn is_held(layout: &Layout) -> io::Result<bool> {
    let file = match regular_file::open(&layout.lock()) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn path(dir: &Path) -> PathBuf {
    Layout::of(dir.to_owned()).lock()
}

fn open(path: &Path) -> Result<File, ApplyError> {
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).custom_flags(regular_file::OPEN_FLAGS).open(path);
    let file = file.and_then(regular_file::require_regular);
    file.map_err(ApplyError::disk("open", path))
}

/// Whether the file at `path` is the open one.
fn is_at(file: &File, path: &Path) -> Result<bool, ApplyError> {
    let held = file.metadata().map_err(ApplyError::disk("look at", path))?;
    match fs::symlink_metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (held.dev(), held.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(ApplyError::disk("look at", path)(error)),
    }
}
