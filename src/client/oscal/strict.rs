//! JSON in which no object names a member twice: of two values one would be dropped without a word.

use schema::json::StrictJson;
use serde_json::Value;

use super::fault::Fault;

/// Reads a whole file.
pub(super) fn read(bytes: &[u8]) -> Result<Value, Fault> {
    let not_json = |path: String, source| {
        // The root has no name of its own.
        let path = if path == "." { "the top".to_owned() } else { path };
        Fault::NotJson { path, source }
    };
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let StrictJson(value) = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| not_json(error.path().to_string(), error.into_inner()))?;
    reader.end().map_err(|source| not_json(".".to_owned(), source))?;
    Ok(value)
}
