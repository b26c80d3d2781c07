//! Files and folders that must survive a crash or a power failure.
//!
//! Between a record and the switch to its generation the agent waits for three fsyncs, one after another:
//! 1. the bytes of `state.json`: without them a power failure could leave the file empty and the node without its floor;
//! 2. its name: without it the floor could fall after the server has read it in a report;
//! 3. the new tree, its name and its record, all at once: `current` must not point to an incomplete tree.
//!
//! After the switch it waits for the symlink, since a report will say that this generation runs, and twice for `state.json`,
//! which then names it as last good.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use program::durable_file::{self, FileMode};
use schema::document_mode::DocumentMode;

use crate::apply_error::ApplyError;

/// How many fsyncs run in parallel.
const SYNCS_AT_ONCE: usize = 8;
/// Programs of other users read the files of a generation, whatever the umask of the agent.
pub(crate) const FILE_MODE: u32 = DocumentMode::Plain.bits();
pub(crate) const DIR_MODE: u32 = 0o755;

/// Replaces the file at `path`, durably.
///
/// # Errors
/// If the disk fails; then `path` has the old bytes or the new ones.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), ApplyError> {
    clear_beside(path)?;
    durable_file::replace(path, bytes, FileMode::Exact(FILE_MODE)).map_err(ApplyError::disk("write", path))
}

/// Replaces the file at `path` without fsync: for signed records, whose signature is checked on every read.
///
/// # Errors
/// If the disk fails; then `path` has the old bytes.
pub fn replace_unsynced(path: &Path, bytes: &[u8]) -> Result<(), ApplyError> {
    clear_beside(path)?;
    durable_file::replace_unsynced(path, bytes, FileMode::Exact(FILE_MODE)).map_err(ApplyError::disk("write", path))
}

// A folder that somebody made at this name would fail every later write.
fn clear_beside(path: &Path) -> Result<(), ApplyError> {
    let beside = durable_file::beside(path);
    remove_unless_file(&beside).map_err(ApplyError::disk("clear", &beside))
}

/// A new, empty file of this mode in the place of whatever is at `path`. The mode does not depend on the umask.
///
/// # Errors
/// If the disk fails.
pub fn create(path: &Path, mode: u32) -> io::Result<File> {
    remove_unless_file(path)?;
    durable_file::create_empty(path, FileMode::Exact(mode))
}

/// A new folder. Its mode does not depend on the umask.
///
/// # Errors
/// If `path` exists, or the disk fails.
pub fn create_dir(path: &Path) -> io::Result<()> {
    fs::create_dir(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(DIR_MODE))
}

/// Creates the folder `path` unless it exists.
///
/// # Errors
/// If something else is there, such as a symlink to a folder; or if the disk fails.
pub fn ensure_dir(path: &Path) -> Result<(), ApplyError> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => Ok(()),
        Ok(_) => Err(ApplyError::PlantedPath { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_dir(path).map_err(ApplyError::disk("make folder", path))?;
            sync(path.parent().unwrap_or(path)).map_err(ApplyError::disk("sync the parent of", path))
        }
        Err(error) => Err(ApplyError::disk("look at", path)(error)),
    }
}

/// Syncs many files and folders in parallel: a journalling file system commits them together.
///
/// # Errors
/// If the disk fails.
pub fn sync_all(paths: &[PathBuf]) -> Result<(), ApplyError> {
    let sync_some =
        |some: &[PathBuf]| some.iter().try_for_each(|path| sync(path).map_err(ApplyError::disk("sync", path)));
    let share = paths.len().div_ceil(SYNCS_AT_ONCE).max(1);
    std::thread::scope(|scope| {
        let workers: Vec<_> = paths.chunks(share).map(|some| scope.spawn(move || sync_some(some))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("BUG: syncing does not panic"))
    })
}

/// Syncs the bytes of a file, or the names in a folder.
///
/// # Errors
/// If the disk fails.
pub fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Removes the file, link or folder tree at `path`, if there is one. A link is not followed.
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

/// Removes a folder at `path`: a rename onto `path` replaces a file or link, but not a folder.
///
/// # Errors
/// If the disk fails.
pub fn remove_unless_file(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => remove(path),
        _ => Ok(()),
    }
}
