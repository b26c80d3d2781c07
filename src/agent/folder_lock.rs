//! The lock of a node's folder, which one agent holds at a time, and a note of the holder in it.
//!
//! What always holds: whoever holds the lock holds the file that has its name. A lock whose file was removed or replaced
//! keeps nobody out, so the holder compares the two again before it writes.
//!
//! The note has its bytes on disk from when the lock is taken, so the agent can still say there what keeps it from writing
//! `state.json`, such as a full disk.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use schema::report::{Attempt, truncate_text};

use crate::apply_error::ApplyError;
use crate::layout::Layout;
use crate::regular_file;

/// Somebody who looks whether the folder is locked has the lock for an instant, which must not keep an agent from starting.
const LOOKS_MAX: u32 = 10;
/// The pause between two tries for the lock.
const LOOK: Duration = Duration::from_millis(20);
/// The place of the note.
const NOTE_BYTES: usize = 8 * 1024;
/// Of the text in it: each of its bytes may take six in JSON.
const NOTE_DETAIL_BYTES: usize = 1024;

/// The lock, held as long as this lives.
#[derive(Debug)]
pub struct FolderLock {
    dir: PathBuf,
    file: File,
    /// What the note says.
    noted: Option<Attempt>,
}

impl FolderLock {
    /// Takes the lock of the folder `dir`.
    ///
    /// # Errors
    /// [`ApplyError::OtherAgent`] if another process has it; or if the disk fails, or something else lies in its place.
    pub fn take(dir: &Path) -> Result<Self, ApplyError> {
        let path = path(dir);
        for _ in 0..=LOOKS_MAX {
            let file = open(&path)?;
            match file.try_lock() {
                Ok(()) if is_at(&file, &path)? => {
                    let noted = noted(&Layout::of(dir.to_owned()));
                    let mut lock = Self { dir: dir.to_owned(), file, noted: None };
                    lock.note(noted.as_ref());
                    if noted.is_none() {
                        lock.write(b"");
                    }
                    return Ok(lock);
                }
                // It was removed or replaced between opening and locking.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK),
                Err(TryLockError::Error(error)) => return Err(ApplyError::disk("lock", &path)(error)),
            }
        }
        Err(ApplyError::OtherAgent { dir: dir.to_owned() })
    }

    /// Takes the lock again if its file was removed or replaced.
    ///
    /// # Errors
    /// [`ApplyError::OtherAgent`] if another process has taken it meanwhile; or if the disk fails.
    pub fn keep(&mut self) -> Result<(), ApplyError> {
        if !is_at(&self.file, &path(&self.dir))? {
            tracing::warn!(lock = %path(&self.dir).display(), "the lock's file was removed or replaced; taking it again");
            let lock = Self::take(&self.dir)?;
            let noted = std::mem::replace(self, lock).noted;
            self.note(noted.as_ref());
        }
        Ok(())
    }

    /// What a holder, this one or one before, has noted.
    #[must_use]
    pub fn noted(&self) -> Option<&Attempt> {
        self.noted.as_ref()
    }

    /// Says what became of an attempt where `state.json` can't be written, or nothing any more.
    pub fn note(&mut self, attempt: Option<&Attempt>) {
        if self.noted.as_ref() != attempt {
            self.noted = attempt.cloned();
            let shortened = attempt.map(|attempt| Attempt {
                detail: attempt.detail.as_deref().map(|detail| truncate_text(detail, NOTE_DETAIL_BYTES)),
                ..attempt.clone()
            });
            self.write(&shortened.map(|attempt| serde_json::to_vec(&attempt).unwrap_or_default()).unwrap_or_default());
        }
    }

    /// In place, so that it needs no free block. Nobody relies on it: a disk that fails here has its own report.
    fn write(&self, text: &[u8]) {
        let mut note = text.to_vec();
        note.resize(NOTE_BYTES, b'\n');
        if let Err(error) = self.file.write_all_at(&note, 0) {
            tracing::debug!(%error, "the note in the lock's file can't be written");
        }
    }
}

/// What the agent has noted in the lock of a folder, and could not write into `state.json`.
#[must_use]
pub fn noted(layout: &Layout) -> Option<Attempt> {
    let mut text = Vec::new();
    regular_file::open(&layout.lock()).ok()?.take(NOTE_BYTES as u64).read_to_end(&mut text).ok()?;
    serde_json::from_slice(text.trim_ascii_end()).ok()
}

/// Whether an agent works in the folder. It is asked by a try that is given back at once.
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
    let file = options.create(true).truncate(false).write(true).custom_flags(regular_file::CAREFULLY).open(path);
    let file = file.and_then(regular_file::only_a_file);
    file.map_err(ApplyError::disk("open", path))
}

/// Whether the file at `path` is the one that is open.
fn is_at(file: &File, path: &Path) -> Result<bool, ApplyError> {
    let held = file.metadata().map_err(ApplyError::disk("look at", path))?;
    match fs::symlink_metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (held.dev(), held.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(ApplyError::disk("look at", path)(error)),
    }
}
