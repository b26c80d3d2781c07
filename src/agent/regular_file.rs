//! Reading files in folders that others may write to.
//!
//! What always holds: what is opened is a regular file, and opening it waits for nobody. A named pipe in a file's place would
//! wait for a writer for ever.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

/// Flags for opening: not through a link, and not waiting for whoever is at the other end of a pipe or a device.
pub(crate) const CAREFULLY: i32 = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits().cast_signed();

/// A file to read.
///
/// # Errors
/// If it is not there, is a link or no file, or the disk fails.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(CAREFULLY).open(path).and_then(only_a_file)
}

/// What was opened, if it is a file.
///
/// # Errors
/// If it is a folder, a named pipe, a device or a socket, or the disk fails.
pub(crate) fn only_a_file(opened: File) -> io::Result<File> {
    if opened.metadata()?.is_file() { Ok(opened) } else { Err(io::Error::other("it is not a file")) }
}

/// All bytes of a file, which is opened as by [`open`].
///
/// # Errors
/// The same.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use std::fs;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn what_is_no_file_is_refused_and_waited_for_by_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), b"x").unwrap();
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        fs::create_dir(at("folder")).unwrap();
        mknodat(CWD, at("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        assert_eq!(read(&at("file")).unwrap(), b"x");
        for name in ["link", "folder", "pipe", "socket", "nothing"] {
            assert!(read(&at(name)).is_err(), "{name}");
        }
    }
}
