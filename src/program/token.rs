//! Tokens: shown once to whom they are for, and known to the log by their hash only.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::{durable_file, password};

/// The system gives no randomness.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no randomness")]
pub struct RandomnessError;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// None can be made.
    #[error(transparent)]
    RandomnessError(#[from] RandomnessError),
    /// Its file can't be written.
    #[error("{0}")]
    File(PathBuf, #[source] std::io::Error),
    /// Its file is there, and can't be used.
    #[error(transparent)]
    Unusable(#[from] password::Error),
}

/// The token of a file, or a new one, which is on disk (mode 600) before it is given; without a file a new one that nobody keeps.
/// Nobody is let in by a token that only a program which has died knew.
///
/// # Errors
/// If none can be made, or the file is of no use.
pub fn read_or_create(file: Option<&Path>) -> Result<String, TokenError> {
    let Some(file) = file else { return Ok(generate()?) };
    if file.exists() {
        return Ok(password::read(file)?);
    }
    let token = generate()?;
    let created = durable_file::create(file, token.as_bytes(), 0o600);
    created.map_err(|error| TokenError::File(file.to_owned(), error)).map(|()| token)
}

/// A new token: 256 random bits, behind a mark by which a scanner for leaked secrets knows it.
///
/// # Errors
/// If the system gives no randomness.
pub fn generate() -> Result<String, RandomnessError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| RandomnessError)?;
    Ok(format!("hw_{}", URL_SAFE_NO_PAD.encode(bytes)))
}
