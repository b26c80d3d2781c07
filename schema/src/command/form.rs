//! Strict reading of a command's fields: an unknown field is refused, and the refusal names the field.

use alloc::string::String;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::invalid::InputError;
use crate::json::read_value;

/// An entity's id and nothing else.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Only<T> {
    pub(super) id: T,
}

/// Reads a form whose every field is known, and says which field is at fault.
pub(super) fn strict<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, InputError> {
    read_value(Value::Object(fields))
}
