//! Invalid input: the refusal of bytes or text from outside.
//!
//! One shape for every such answer: a stable code, the field, and a sentence. A reader of JSON finds many of them deep
//! inside serde, whose errors are text; [`InputError`] therefore prints as `code: detail` and is read back from that.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;

/// The codes that reading can answer with. They are part of the contract: never renamed, never reused.
pub const CODES: &[&str] = &[
    "invalid_json",
    "invalid_value",
    "invalid_id",
    "invalid_path",
    "invalid_target",
    "empty_target",
    "invalid_schedule",
    "unknown_operator",
    "unknown_type",
    "unknown_field",
    "missing_field",
    "nul_in_text",
    "too_large",
    "too_many",
    "not_available_yet",
];

/// Bytes or text that were refused while being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputError {
    /// One of [`CODES`].
    pub code: &'static str,
    /// The offending field as a path such as `commands[0].target.nodes[2]`; empty for the whole.
    pub field: String,
    /// The reason in one sentence, for people.
    pub detail: String,
}

impl InputError {
    /// A refusal of a value whose field is not known here; the caller adds the field with [`InputError::at`].
    #[must_use]
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        debug_assert!(CODES.contains(&code), "BUG: {code} is not a published code");
        Self { code, field: String::new(), detail: detail.into() }
    }

    /// The same refusal, found below `field`.
    #[must_use]
    pub fn at(mut self, field: &str) -> Self {
        self.field = match (field.is_empty(), self.field.is_empty()) {
            (true, _) => self.field,
            (_, true) => field.to_owned(),
            (false, false) if self.field.starts_with('[') => format!("{field}{}", self.field),
            (false, false) => format!("{field}.{}", self.field),
        };
        self
    }

    /// Reads a serde error back: the code of an [`InputError`] that passed through it as text, or the code that serde's own
    /// wording stands for.
    #[must_use]
    pub fn from_serde(field: &str, message: &str) -> Self {
        if let Some((code, detail)) = message.split_once(": ")
            && let Some(code) = CODES.iter().find(|known| **known == code)
        {
            return Self::new(code, detail).at(field);
        }
        let quoted = message.split('`').nth(1).unwrap_or_default();
        if message.starts_with("unknown field") {
            return Self::new("unknown_field", message).at(&member(field, quoted));
        }
        if message.starts_with("missing field") {
            return Self::new("missing_field", message).at(&member(field, quoted));
        }
        Self::new("invalid_value", message).at(field)
    }
}

/// `name` inside `field`, unless the path ends with it already.
fn member(field: &str, name: &str) -> String {
    match field {
        "" | "." => name.to_string(),
        _ if field == name || field.ends_with(&format!(".{name}")) => field.to_string(),
        _ => format!("{field}.{name}"),
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl core::error::Error for InputError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_survives_the_passage_through_serde_text() {
        let refused = InputError::new("invalid_path", "it is absolute");
        let read = InputError::from_serde("path", &refused.to_string());
        assert_eq!(read, refused.at("path"));
    }

    #[test]
    fn serdes_own_words_get_codes_and_the_member_they_name() {
        let unknown = InputError::from_serde("target", "unknown field `nodez`, expected `nodes`");
        assert_eq!((unknown.code, unknown.field.as_str()), ("unknown_field", "target.nodez"));
        let missing = InputError::from_serde(".", "missing field `id`");
        assert_eq!((missing.code, missing.field.as_str()), ("missing_field", "id"));
        let other = InputError::from_serde("priority", "invalid type: string \"1\", expected i32");
        assert_eq!((other.code, other.field.as_str()), ("invalid_value", "priority"));
    }

    #[test]
    fn fields_nest_from_the_inside_out() {
        let refused = InputError::new("invalid_id", "empty").at("nodes[1]").at("target").at("commands[0]");
        assert_eq!(refused.field, "commands[0].target.nodes[1]");
    }
}
