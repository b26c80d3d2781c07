//! Makes access tokens. A token is shown once; the log has only its hash.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::durable_file::{self, FileMode};
use crate::password;

/// The system gives no randomness.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no randomness")]
pub struct RandomnessError;

/// Why a token can't be made or read.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// No random bytes.
    #[error(transparent)]
    RandomnessError(#[from] RandomnessError),
    /// The file can't be written.
    #[error("{0}")]
    File(PathBuf, #[source] std::io::Error),
    /// The file exists and can't be used.
    #[error(transparent)]
    Unusable(#[from] password::Error),
}

/// Reads the token in `file`, or creates the file (mode 600) with a new token; without `file` gives a new token. The token is on
/// disk before the log gets its hash, or a crash in between would leave a valid token that no person knows.
///
/// # Errors
/// If the file can't be read or written, or is empty; or there are no random bytes.
pub fn read_or_create(file: Option<&Path>) -> Result<String, TokenError> {
    let Some(file) = file else { return Ok(generate()?) };
    if file.exists() {
        return Ok(password::read(file)?);
    }
    let token = generate()?;
    let created = durable_file::create(file, token.as_bytes(), FileMode::Exact(0o600));
    created.map_err(|error| TokenError::File(file.to_owned(), error)).map(|()| token)
}

/// A new token: 256 random bits after the prefix `hw_`, which scanners for leaked secrets recognize.
///
/// # Errors
/// If the system gives no randomness.
pub fn generate() -> Result<String, RandomnessError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| RandomnessError)?;
    Ok(format!("hw_{}", URL_SAFE_NO_PAD.encode(bytes)))
}
