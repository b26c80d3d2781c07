//! The file of the signing key: 64 hex digits of an Ed25519 seed, readable by its owner only (or by a group where the owner is root).

use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use program::durable_file::{self, FileMode};
use schema::seal::SecretKey;

use super::Error;

/// Reads the key of a file.
///
/// # Errors
/// If the file can't be read, others may read it too, or it holds no key.
pub fn load(path: &Path) -> Result<SecretKey, Error> {
    let unusable = |why: String| Error::Key { path: path.display().to_string(), why };
    let metadata = std::fs::metadata(path).map_err(|error| unusable(error.to_string()))?;
    let mode = metadata.permissions().mode() & 0o777;
    // A credential that root gives to a service of systemd may name a group: it takes root to let others into that group.
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if mode & forbidden != 0 {
        return Err(unusable(format!("mode {mode:04o} lets others at it: chmod 600")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
    let mut seed = [0; 32];
    hex::decode_to_slice(text.trim(), &mut seed).map_err(|_| unusable("it does not hold 64 hex digits".into()))?;
    Ok(SecretKey::from_seed(&seed))
}

/// Reads the key of a file, which is created first if there is none. After a crash there is no file or a whole one.
///
/// # Errors
/// As [`load`], and if the file can't be written.
pub fn load_or_create(path: &Path) -> Result<SecretKey, Error> {
    let unusable = |why: String| Error::Key { path: path.display().to_string(), why };
    if !path.exists() {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| unusable(error.to_string()))?;
        match durable_file::create(path, format!("{}\n", hex::encode(seed)).as_bytes(), FileMode::Exact(0o600)) {
            // Another installation created the key meanwhile: it is the one to use.
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(unusable(error.to_string())),
            _ => {}
        }
    }
    load(path)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use super::*;

    #[test]
    fn a_key_is_created_once_whole_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let keys: Vec<SecretKey> = std::thread::scope(|scope| {
            let installing: Vec<_> = (0..8).map(|_| scope.spawn(|| load_or_create(&path))).collect();
            installing.into_iter().map(|key| key.join().unwrap().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| key.public() == keys[0].public()), "all have the key that was created first");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&path).unwrap().len(), 65);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_and_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        durable_file::create(&path, b"", FileMode::Exact(0o600)).unwrap();
        assert!(matches!(load_or_create(&path), Err(Error::Key { .. })), "an empty file");
        durable_file::replace(&path, &[b'a'; 64], FileMode::Exact(0o644)).unwrap();
        assert!(matches!(load_or_create(&path), Err(Error::Key { .. })), "others may read it");
        assert_eq!(std::fs::read(&path).unwrap(), [b'a'; 64]);
    }
}
