//! What can come of asking the door, other than an answer.

use std::fmt;

use serde::Deserialize;

/// How much of an answer that is none of ours is shown, in characters.
const SHOWN_CHARS: usize = 200;

/// The door did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It said no.
    #[error("{0}")]
    Refused(Problem),
    /// Nobody answered, or not in time.
    #[error("could not reach the door at {url}")]
    Unreached {
        /// What was asked for.
        url: String,
        /// Why not.
        source: reqwest::Error,
    },
    /// A live stream said nothing for so long that it is taken for dead.
    #[error("the door at {url} says nothing any more")]
    Silent {
        /// What was asked for.
        url: String,
    },
    /// Something answered that is not a door of this version.
    #[error("what answers at {url} does not speak as this program does")]
    Strange {
        /// What was asked for.
        url: String,
        /// What can't be read.
        source: serde_json::Error,
    },
}

impl Error {
    /// Whether something could not be reached, the door or what stands behind it, rather than being refused.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Refused(problem) => problem.status >= 500,
            Self::Unreached { .. } | Self::Silent { .. } => true,
            Self::Strange { .. } => false,
        }
    }

    /// The stable code: the door's, where it was the door that said no.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Refused(problem) => &problem.code,
            Self::Unreached { .. } | Self::Silent { .. } => "unreachable",
            Self::Strange { .. } => "strange_answer",
        }
    }
}

/// The door's no (RFC 9457): read from its answer, or made of one that is none of ours.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Problem {
    /// The status of the answer.
    pub status: u16,
    /// The stable code.
    pub code: String,
    /// What is at fault, if it is one thing.
    #[serde(default)]
    pub field: String,
    /// The same in words.
    pub detail: String,
}

impl Problem {
    /// Reads an answer that is no success.
    pub(super) fn read(status: u16, body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_else(|_| {
            let detail: String = String::from_utf8_lossy(body).trim().chars().take(SHOWN_CHARS).collect();
            Self { status, code: "not_a_problem".into(), field: String::new(), detail }
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, code, field, detail } = self;
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
    fn a_problem_is_read_into_one_line() {
        let body = br#"{"type":"about:blank","title":"Conflict","status":409,"code":"principal_exists",
            "field":"commands[0].name","detail":"principal a exists already"}"#;
        let problem = Problem::read(409, body);
        assert_eq!(problem.to_string(), "principal a exists already (409 principal_exists, in commands[0].name)");
        assert!(!Error::Refused(problem).is_unreachable());
    }

    #[test]
    fn what_a_proxy_says_is_shown_as_it_is() {
        let problem = Problem::read(502, b"<h1>Bad Gateway</h1>\n");
        assert_eq!(problem.to_string(), "<h1>Bad Gateway</h1> (502 not_a_problem)");
        assert!(Error::Refused(problem).is_unreachable());
    }
}
