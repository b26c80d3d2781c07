//! The file that holds what records are signed with: 64 hex digits of an Ed25519 seed, readable by its owner only
//! (and by a group where the owner is root).

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use schema::seal::SecretKey;

use super::Error;

/// Reads the key of a file.
///
/// # Errors
/// If the file can't be read, others may read it too, or it holds no key.
pub fn load(path: &Path) -> Result<SecretKey, Error> {
    let wrong = |why: String| Error::Key { path: path.display().to_string(), why };
    let metadata = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
    let mode = metadata.permissions().mode() & 0o777;
    // What root gives to a service (a credential of systemd) may name a group: it takes root to let others in there.
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if mode & forbidden != 0 {
        return Err(wrong(format!("mode {mode:04o} lets others at it: chmod 600")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let mut seed = [0; 32];
    hex::decode_to_slice(text.trim(), &mut seed).map_err(|_| wrong("it does not hold 64 hex digits".into()))?;
    Ok(SecretKey::from_seed(&seed))
}

/// Reads the key of a file, which is made first if there is none.
///
/// # Errors
/// As [`load`], and if the file can't be written.
pub fn load_or_create(path: &Path) -> Result<SecretKey, Error> {
    let wrong = |why: String| Error::Key { path: path.display().to_string(), why };
    if !path.exists() {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| wrong(error.to_string()))?;
        let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let written = made.and_then(|mut file| {
            file.write_all(format!("{}\n", hex::encode(seed)).as_bytes())?;
            file.sync_all()
        });
        written.map_err(|error| wrong(error.to_string()))?;
    }
    load(path)
}
