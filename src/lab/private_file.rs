//! Files and folders that only their owner may read, and secrets in them.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use program::durable_file::{self, FileMode};

use super::Error;

/// Entropy of a password, in bytes.
const PASSWORD_BYTES: usize = 24;

/// How long a process that is ending may keep a folder from being removed.
const EMPTY_WITHIN: Duration = Duration::from_secs(20);
/// The pause between two attempts.
const TRY_EVERY: Duration = Duration::from_millis(50);

/// Creates `dir` and its parents, with mode 0700. An existing folder must belong to us or to `owner`, and gets that mode.
pub fn folder(dir: &Path, owner: Option<u32>) -> Result<(), Error> {
    if let Some(above) = dir.parent() {
        fs::create_dir_all(above).map_err(|error| Error::file("make", above, error))?;
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Error::file("make", dir, error)),
    }
    // In a world-writable parent such as /tmp another user may have created it.
    let there = fs::symlink_metadata(dir).map_err(|error| Error::file("look at", dir, error))?;
    let me = rustix::process::geteuid().as_raw();
    if !there.is_dir() || (there.uid() != me && Some(there.uid()) != owner) {
        return Err(Error::NotOurs(dir.to_path_buf()));
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(|error| Error::file("close", dir, error))
}

/// Replaces the file at `path`, mode 0600.
pub fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    durable_file::replace(path, content, FileMode::Exact(0o600)).map_err(|error| Error::file("write", path, error))
}

/// Removes a file, if it exists.
pub fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::file("remove", path, error)),
        _ => Ok(()),
    }
}

/// Removes a folder tree, if it exists. A process that is ending may still create files in it, so removal is retried for 20 s.
/// Blocks meanwhile.
pub fn remove_folder(dir: &Path) -> Result<(), Error> {
    let deadline = Instant::now() + EMPTY_WITHIN;
    loop {
        match fs::remove_dir_all(dir) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound && !dir.exists() => return Ok(()),
            Err(error) => match error.kind() {
                ErrorKind::DirectoryNotEmpty | ErrorKind::NotFound if Instant::now() < deadline => {
                    std::thread::sleep(TRY_EVERY);
                }
                _ => return Err(Error::file("remove", dir, error)),
            },
        }
    }
}

/// Reads the secret at `path`, or creates it with `make`.
pub fn secret(path: &Path, make: impl FnOnce() -> Result<String, Error>) -> Result<String, Error> {
    if let Some(secret) = read_secret(path)? {
        return Ok(secret);
    }
    let secret = make()?;
    write(path, format!("{secret}\n").as_bytes())?;
    Ok(secret)
}

/// Reads the secret at `path`; none if there is no file or it is empty.
pub fn read_secret(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file("read", path, error)),
    }
}

/// A random password of hex digits, which need no escaping in a URL.
pub fn password() -> Result<String, Error> {
    Ok(hex::encode(random::<PASSWORD_BYTES>()?))
}

/// Random bytes of the system.
pub fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Error::NoRandomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_secret_is_made_once_and_only_its_owner_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let first = secret(&path, password).unwrap();
        assert_eq!(secret(&path, || panic!("made twice")).unwrap(), first);
        assert_eq!((first.len(), mode(&path)), (2 * PASSWORD_BYTES, 0o600));
    }

    #[test]
    fn a_folder_is_closed_to_others_even_if_it_was_there_and_open() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        folder(&open, None).unwrap();
        assert_eq!(mode(&open), 0o700);
    }

    #[test]
    fn a_link_in_the_folders_place_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        assert!(matches!(folder(&link, None), Err(Error::NotOurs(_))));
    }

    #[test]
    fn a_folder_that_somebody_still_writes_to_is_removed_once_they_end() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("folder");
        fs::create_dir(&folder).unwrap();
        let written = folder.clone();
        let writer = std::thread::spawn(move || {
            let end = Instant::now() + Duration::from_millis(300);
            (0..).take_while(|_| Instant::now() < end).for_each(|number| {
                let _removed_under_us = fs::write(written.join(number.to_string()), "");
            });
        });
        remove_folder(&folder).unwrap();
        writer.join().unwrap();
        remove_folder(&folder).unwrap();
        assert!(!folder.exists());
    }
}
