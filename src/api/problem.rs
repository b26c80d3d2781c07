//! Every error is a problem document (RFC 9457). A program looks at `code`, and at `field` where one value is at fault.

use alloc::string::String;
use core::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The problem document, as the server writes it. A client also reads one that lacks `type`, `title` and `field`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// Always `about:blank`: `title` repeats the status, and `code` says what is wrong.
    #[serde(rename = "type", default = "Problem::about_blank")]
    pub type_uri: String,
    /// The reason phrase of the status.
    #[serde(default)]
    pub title: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The stable code: an [`ErrorCode`](crate::error_code::ErrorCode), or that of a refused command.
    pub code: String,
    /// The field, parameter or header that is at fault; empty if it is not one of them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// One sentence for a person.
    pub detail: String,
}

impl Problem {
    /// The value of `type`.
    #[must_use]
    pub fn about_blank() -> String {
        "about:blank".into()
    }
}

/// One line for a person: the sentence first, then status, code and field.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, code, field, detail, .. } = self;
        match field.as_str() {
            "" => write!(f, "{detail} ({status} {code})"),
            field => write!(f, "{detail} ({status} {code}, in {field})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_written_in_the_order_of_its_fields_and_read_without_the_optional_ones() {
        let written = r#"{"type":"about:blank","title":"Not Found","status":404,"code":"unknown_file","field":"path","detail":"d"}"#;
        let problem: Problem = serde_json::from_str(written).expect("a problem");
        assert_eq!(serde_json::to_string(&problem).expect("JSON"), written);
        let short: Problem = serde_json::from_str(r#"{"status":404,"code":"c","detail":"d"}"#).expect("a problem");
        assert_eq!((short.type_uri.as_str(), short.field.as_str()), ("about:blank", ""));
        assert!(!serde_json::to_string(&short).expect("JSON").contains("field"));
    }
}
