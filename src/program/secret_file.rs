//! Files that hold a secret: readable by their owner only, or by a group where the owner is root.

use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::durable_file::{self, FileMode};

/// A file of a secret can't be used.
#[derive(Debug, thiserror::Error)]
#[error("the file {} can't be used: {why}", .path.display())]
pub struct SecretFileError {
    /// The file.
    pub path: PathBuf,
    /// The reason.
    pub why: String,
}

/// Reads a file, without the white space around its text.
///
/// # Errors
/// If it can't be read, or others may read it, too.
pub fn read(path: &Path) -> Result<String, SecretFileError> {
    let unusable = |why: String| SecretFileError { path: path.to_owned(), why };
    let metadata = std::fs::metadata(path).map_err(|error| unusable(error.to_string()))?;
    let mode = metadata.permissions().mode() & 0o777;
    // A credential that root gives to a service of systemd may name a group: it takes root to let others into that group.
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if mode & forbidden != 0 {
        return Err(unusable(format!("mode {mode:04o} lets others at it: chmod 600")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
    Ok(text.trim().to_owned())
}

/// Reads a file, which is created first with what `make` gives for 32 random bytes if there is none. After a crash there is no file
/// or a whole one.
///
/// # Errors
/// As [`read`], and if the file can't be written.
pub fn read_or_create(path: &Path, make: impl FnOnce([u8; 32]) -> String) -> Result<String, SecretFileError> {
    let unusable = |why: String| SecretFileError { path: path.to_owned(), why };
    if !path.exists() {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| unusable(error.to_string()))?;
        match durable_file::create(path, make(random).as_bytes(), FileMode::Exact(0o600)) {
            // Another program created the file meanwhile: it is the one to use.
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(unusable(error.to_string())),
            _ => {}
        }
    }
    read(path)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use super::*;

    #[test]
    fn a_secret_is_created_once_whole_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let secrets: Vec<String> = std::thread::scope(|scope| {
            let creating: Vec<_> =
                (0..8).map(|_| scope.spawn(|| read_or_create(&path, |bytes| format!("{bytes:?}\n")))).collect();
            creating.into_iter().map(|secret| secret.join().unwrap().unwrap()).collect()
        });
        assert!(secrets.iter().all(|secret| *secret == secrets[0]), "all have the secret that was created first");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_and_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        durable_file::replace(&path, b"known", FileMode::Exact(0o644)).unwrap();
        assert!(read_or_create(&path, |_| String::new()).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"known");
    }
}
