//! Writing what must survive a kill or a power failure.
//!
//! What always holds: a file is written beside its place, synced, renamed into place, and its folder synced, so that at
//! every instant the place holds the old bytes or the new ones; no link is followed in the last step of a path.
//!
//! Between a record and the switch to its small files the agent waits for the disk three times, one after another:
//! 1. the bytes of `state.json`, or a power failure could leave it without any and the node without a memory;
//! 2. its name, or the floor could fall after the centre has heard of it;
//! 3. the new tree, its name and its record, all at once, or `current` could point to what is not whole.
//!
//! After the switch it waits for the link, or what was reported to run could not be what runs after a power failure, and
//! twice for `state.json` with what is good.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use program::durable_file;

use crate::apply_error::ApplyError;

/// Syncs on their way at once.
const SYNCS_AT_ONCE: usize = 8;
/// Everybody reads, the owner writes.
pub const FILE_MODE: u32 = 0o644;
/// Everybody reads and enters, the owner writes.
pub const DIR_MODE: u32 = 0o755;

/// Puts `bytes` at `path`, and makes its name survive.
///
/// # Errors
/// If the disk fails; then `path` is as it was, or as it should be.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), ApplyError> {
    clear_beside(path)?;
    durable_file::replace(path, bytes, FILE_MODE).map_err(ApplyError::disk("write", path))
}

/// Puts `bytes` at `path`. Until both it and its folder are synced, a power failure may leave anything there, so it is only
/// for what is checked whenever it is read.
///
/// # Errors
/// If the disk fails; then `path` is as it was.
pub fn place(path: &Path, bytes: &[u8]) -> Result<(), ApplyError> {
    clear_beside(path)?;
    durable_file::replace_unsynced(path, bytes, FILE_MODE).map_err(ApplyError::disk("write", path))
}

/// Somebody may have made a folder where the file is to be written.
fn clear_beside(path: &Path) -> Result<(), ApplyError> {
    let beside = durable_file::beside(path);
    remove_unless_file(&beside).map_err(ApplyError::disk("clear", &beside))
}

/// A new file at `path`, in the place of whatever was there, with [`FILE_MODE`] whatever the umask.
///
/// # Errors
/// If the disk fails.
pub fn create(path: &Path) -> io::Result<File> {
    remove_unless_file(path)?;
    durable_file::create_empty(path, FILE_MODE)
}

/// A new folder at `path`, with [`DIR_MODE`] whatever the umask.
///
/// # Errors
/// If something is there already, or the disk fails.
pub fn create_dir(path: &Path) -> io::Result<()> {
    fs::create_dir(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(DIR_MODE))
}

/// Sees to it that `path` is a folder and no link to one.
///
/// # Errors
/// If it is something else, or the disk fails.
pub fn own_dir(path: &Path) -> Result<(), ApplyError> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => Ok(()),
        Ok(_) => Err(ApplyError::PlantedPath { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_dir(path).map_err(ApplyError::disk("make folder", path))?;
            sync_dir(path.parent().unwrap_or(path)).map_err(ApplyError::disk("sync the parent of", path))
        }
        Err(error) => Err(ApplyError::disk("look at", path)(error)),
    }
}

/// Syncs many files and folders, several at once: a journal takes them together.
///
/// # Errors
/// If the disk fails.
pub fn sync_all(paths: &[PathBuf]) -> Result<(), ApplyError> {
    let sync_some =
        |some: &[PathBuf]| some.iter().try_for_each(|path| sync_dir(path).map_err(ApplyError::disk("sync", path)));
    let share = paths.len().div_ceil(SYNCS_AT_ONCE).max(1);
    std::thread::scope(|scope| {
        let workers: Vec<_> = paths.chunks(share).map(|some| scope.spawn(move || sync_some(some))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("BUG: syncing does not panic"))
    })
}

/// Makes the bytes of a file, or the names in a folder, survive.
///
/// # Errors
/// If the disk fails.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Removes whatever is at `path`, following no link; nothing there is fine.
///
/// # Errors
/// If the disk fails.
pub fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// Clears the way for a rename onto `path`, which takes the place of a file or link but not of a folder.
///
/// # Errors
/// If the disk fails.
pub fn remove_unless_file(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => remove(path),
        _ => Ok(()),
    }
}
