//! JSON in which no object has two members of one name: one of the values would be dropped silently.

use schema::json::StrictJson;
use serde_json::Value;

use super::error::OscalError;

pub(super) fn read(bytes: &[u8]) -> Result<Value, OscalError> {
    let not_json = |path: String, source| {
        // serde_path_to_error writes the root as a dot.
        let path = if path == "." { "the top".to_owned() } else { path };
        OscalError::NotJson { path, source }
    };
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let StrictJson(value) = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| not_json(error.path().to_string(), error.into_inner()))?;
    reader.end().map_err(|source| not_json(".".to_owned(), source))?;
    Ok(value)
}
