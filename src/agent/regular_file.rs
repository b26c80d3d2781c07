//! Reads files in folders that others may write to.
//!
//! Invariant: only a regular file is opened, and opening never blocks. A named pipe in the place of a file would wait for a
//! writer for ever.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

/// Open flags: do not follow a symlink, and do not wait for the other end of a pipe or device.
pub(crate) const OPEN_FLAGS: i32 = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits().cast_signed();

/// Opens a file to read.
///
/// # Errors
/// If there is none, it is a symlink or not a regular file, or the disk fails.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(OPEN_FLAGS).open(path).and_then(require_regular)
}

/// # Errors
/// If it is a folder, a named pipe, a device or a socket, or the disk fails.
pub(crate) fn require_regular(opened: File) -> io::Result<File> {
    if opened.metadata()?.is_file() { Ok(opened) } else { Err(io::Error::other("it is not a file")) }
}

/// All bytes of a file.
///
/// # Errors
/// As [`open`].
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
