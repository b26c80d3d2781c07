//! The file of the signing key: 64 hex digits of an Ed25519 seed, readable by its owner only (or by a group where the owner is root).

use std::path::Path;

use program::secret_file::{self, SecretFileError};
use schema::seal::SecretKey;

use super::Error;

/// Reads the key of a file.
///
/// # Errors
/// If the file can't be read, others may read it too, or it holds no key.
pub fn load(path: &Path) -> Result<SecretKey, Error> {
    key_of(path, secret_file::read(path))
}

/// Reads the key of a file, which is created first if there is none.
///
/// # Errors
/// As [`load`], and if the file can't be written.
pub fn load_or_create(path: &Path) -> Result<SecretKey, Error> {
    key_of(path, secret_file::read_or_create(path, |seed| format!("{}\n", hex::encode(seed))))
}

fn key_of(path: &Path, text: Result<String, SecretFileError>) -> Result<SecretKey, Error> {
    let unusable = |why: String| Error::Key { path: path.display().to_string(), why };
    let text = text.map_err(|unreadable| unusable(unreadable.why))?;
    let mut seed = [0; 32];
    hex::decode_to_slice(text, &mut seed).map_err(|_| unusable("it does not hold 64 hex digits".into()))?;
    Ok(SecretKey::from_seed(&seed))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use program::durable_file::{self, FileMode};

    use super::*;

    #[test]
    fn a_key_is_created_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let made = load_or_create(&path).unwrap();
        assert_eq!(load(&path).unwrap().public(), made.public());
        assert_eq!(load_or_create(&path).unwrap().public(), made.public());
        assert_eq!(std::fs::read_to_string(&path).unwrap().len(), 65);
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
