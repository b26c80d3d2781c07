//! Tokens: shown once to whom they are for, and known to the log by their hash only.

pub mod command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The system gives no randomness.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no randomness")]
pub struct NoRandomness;

/// A new token: 256 random bits, behind a mark by which a scanner for leaked secrets knows it.
///
/// # Errors
/// If the system gives no randomness.
pub fn make() -> Result<String, NoRandomness> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(format!("hw_{}", URL_SAFE_NO_PAD.encode(bytes)))
}
