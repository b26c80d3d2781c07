//! Replacing and creating files so that a crash leaves the old file, the new one or none, and never a part of one.
//!
//! Invariants: bytes are written beside their place, synced, and only then renamed into it; a symlink at the path is replaced, not
//! followed; a new file never has more permissions, not even for a moment, than its [`FileMode`] gives it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// The permissions of a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileMode {
    /// These permission bits, whatever the umask.
    Exact(u32),
    /// Reading and writing, for whom the umask of the process lets: nobody else where the operator wants that.
    ByUmask,
}

/// Replaces the file at `path`, or creates it, with these permissions. Two writers of one path must exclude each other.
///
/// # Errors
/// If the disk fails; then `path` has the old bytes, or the new ones if only its name could not be synced.
pub fn replace(path: &Path, bytes: &[u8], mode: FileMode) -> io::Result<()> {
    let beside = beside(path);
    or_remove(&beside, || {
        let file = written(&beside, bytes, mode)?;
        rename_synced(&file, &beside, path)
    })
}

/// As [`replace`], but without any fsync: after a power failure the file may hold anything, so this is for files whose content
/// is verified whenever it is read.
///
/// # Errors
/// If the disk fails; then `path` has the old bytes.
pub fn replace_unsynced(path: &Path, bytes: &[u8], mode: FileMode) -> io::Result<()> {
    let beside = beside(path);
    or_remove(&beside, || {
        written(&beside, bytes, mode)?;
        fs::rename(&beside, path)
    })
}

/// Creates a file that must not exist yet. Of several that create the same file at once, one succeeds.
///
/// # Errors
/// [`ErrorKind::AlreadyExists`] if something is at `path`, which stays as it is; or if the disk fails.
pub fn create(path: &Path, bytes: &[u8], mode: FileMode) -> io::Result<()> {
    // A name of its own: another process may be creating the same file.
    let beside = folder_of(path).join(format!(".{:016x}.new", fastrand::u64(..)));
    or_remove(&beside, || {
        written(&beside, bytes, mode)?.sync_all()?;
        rename_to_unused(&beside, path)?;
        sync_folder(folder_of(path))
    })
}

/// Gives a file that was written at `beside` its name, durably: sync it, rename it, sync the folder.
///
/// # Errors
/// If the disk fails.
pub fn rename_synced(file: &File, beside: &Path, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    fs::rename(beside, path)?;
    sync_folder(folder_of(path))
}

/// A new, empty file, in the place of a file, link or pipe that was there.
///
/// # Errors
/// If a folder is there, or the disk fails.
pub fn create_empty(path: &Path, mode: FileMode) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut open = OpenOptions::new();
    open.write(true).create_new(true);
    match mode {
        FileMode::ByUmask => open.open(path),
        FileMode::Exact(bits) => {
            let file = open.mode(bits).open(path)?;
            // The umask may have taken bits away.
            file.set_permissions(Permissions::from_mode(bits))?;
            Ok(file)
        }
    }
}

/// Where [`replace`] writes what will be at `path`: in the same folder, as a rename never crosses file systems.
#[must_use]
pub fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    folder_of(path).join(format!(".{name}.new"))
}

/// Makes the names in a folder durable.
///
/// # Errors
/// If the disk fails.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn written(path: &Path, bytes: &[u8], mode: FileMode) -> io::Result<File> {
    let mut file = create_empty(path, mode)?;
    file.write_all(bytes)?;
    Ok(file)
}

/// A full disk must not be kept full by a file that nothing will use.
fn or_remove(beside: &Path, write: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    write().inspect_err(|_| {
        let _the_first_error_counts = fs::remove_file(beside);
    })
}

fn rename_to_unused(beside: &Path, path: &Path) -> io::Result<()> {
    match renameat_with(CWD, beside, CWD, path, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => link_to_unused(beside, path),
        renamed => Ok(renamed?),
    }
}

/// For file systems that can't refuse a rename onto a file, such as NFS. A crash between the two steps leaves both names.
fn link_to_unused(beside: &Path, path: &Path) -> io::Result<()> {
    fs::hard_link(beside, path)?;
    fs::remove_file(beside)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use std::os::unix::fs::{MetadataExt as _, symlink};

    use rustix::fs::{FileType, Mode, mknodat};

    use super::*;

    const PRIVATE: FileMode = FileMode::Exact(0o600);

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_replaced_with_its_mode_and_a_leftover_of_a_crash_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for (replaced, mode) in [(replace as fn(&Path, &[u8], FileMode) -> _, 0o600), (replace_unsynced, 0o646)] {
            fs::write(&path, "old").unwrap();
            fs::write(beside(&path), "half").unwrap();
            replaced(&path, b"new", FileMode::Exact(mode)).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"new");
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, mode);
            assert_eq!(names(dir.path()), ["file"]);
        }
    }

    #[test]
    fn a_file_by_the_umask_is_as_private_as_that_says() {
        rustix::process::umask(Mode::from(0o027));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for replaced in [replace as fn(&Path, &[u8], FileMode) -> _, replace_unsynced, create] {
            let _not_there_at_first = fs::remove_file(&path);
            replaced(&path, b"new", FileMode::ByUmask).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        }
    }

    #[test]
    fn a_link_is_replaced_and_what_it_points_to_is_untouched() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("target"), "target").unwrap();
        symlink(at("target"), at("link")).unwrap();
        symlink(at("target"), beside(&at("link"))).unwrap();
        replace(&at("link"), b"new", PRIVATE).unwrap();
        assert_eq!(fs::read(at("target")).unwrap(), b"target");
        assert!(fs::symlink_metadata(at("link")).unwrap().is_file());
    }

    #[test]
    fn what_is_no_file_is_written_through_by_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        mknodat(CWD, at("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for name in ["pipe", "socket", "nothing"] {
            drop(create_empty(&at(name), PRIVATE).unwrap());
            assert_eq!(fs::read(at(name)).unwrap(), b"", "{name}");
        }
    }

    #[test]
    fn a_replacement_that_fails_leaves_nothing_beside() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("folder");
        fs::create_dir(&folder).unwrap();
        replace(&folder, b"new", PRIVATE).unwrap_err();
        assert_eq!(names(dir.path()), ["folder"]);
    }

    #[test]
    fn a_file_that_exists_is_not_created_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        create(&path, b"first", PRIVATE).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let again: [fn(&Path) -> io::Result<()>; 2] = [
            |path| create(path, b"second", PRIVATE),
            |path| {
                fs::write(beside(path), "second").unwrap();
                or_remove(&beside(path), || link_to_unused(&beside(path), path))
            },
        ];
        for again in again {
            assert_eq!(again(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
            assert_eq!(fs::read(&path).unwrap(), b"first");
            assert_eq!(names(dir.path()), ["file"]);
        }
    }

    #[test]
    fn of_several_that_create_one_file_one_succeeds_and_its_bytes_are_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let create = |byte: u8| create(&path, &[byte; 4096], PRIVATE).is_ok().then_some(byte);
        let created: Vec<u8> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..8).map(|byte| scope.spawn(move || create(byte))).collect();
            writers.into_iter().filter_map(|writer| writer.join().unwrap()).collect()
        });
        assert_eq!(created.len(), 1);
        assert_eq!(fs::read(&path).unwrap(), [created[0]; 4096]);
        assert_eq!(names(dir.path()), ["file"]);
    }
}
