//! What can come of asking the door, other than an answer.

use std::fmt;

use serde::Deserialize;

/// Characters that are shown of an answer that is none of ours, or of a name in one that is.
const SHOWN_CHARS: usize = 200;
/// Characters that are shown of a refusal's words.
const DETAIL_CHARS: usize = 4_000;

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
    /// An answer goes on beyond what any door sends.
    #[error("what answers at {url} sent {what} of more than {bytes_max} bytes, which no door does")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// What is too large.
        what: &'static str,
        /// How large it may be.
        bytes_max: usize,
    },
    /// The answer is to be had elsewhere. The token is not shown there.
    #[error(
        "{url} redirects to `{}`, and redirections are not followed: if that is the door, give its URL",
        cut(to, SHOWN_CHARS)
    )]
    Redirected {
        /// What was asked for.
        url: String,
        /// Where to.
        to: String,
    },
    /// A list or a stream comes again to where it was.
    #[error(
        "what answers at {url} does not go on: `{}` does not come after what it sent before",
        cut(cursor, SHOWN_CHARS)
    )]
    NoProgress {
        /// What was asked for.
        url: String,
        /// The cursor, or the position.
        cursor: String,
    },
}

impl Error {
    /// Whether something could not be reached, the door or what stands behind it, rather than being refused.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Refused(problem) => problem.status >= 500,
            Self::Unreached { .. } | Self::Silent { .. } => true,
            Self::Strange { .. } | Self::TooLarge { .. } | Self::Redirected { .. } | Self::NoProgress { .. } => false,
        }
    }

    /// Whether the door decided against what was asked, so that nothing came of it.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(problem) if (400..500).contains(&problem.status))
    }

    /// The stable code: the door's, where it was the door that said no.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Refused(problem) => &problem.code,
            Self::Unreached { .. } | Self::Silent { .. } => "unreachable",
            Self::Strange { .. } => "strange_answer",
            Self::TooLarge { .. } => "answer_too_large",
            Self::Redirected { .. } => "redirected",
            Self::NoProgress { .. } => "no_progress",
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
    /// Reads an answer that is no success. Its status is that of the answer, whatever its body says.
    pub(super) fn read(status: u16, body: &[u8]) -> Self {
        match serde_json::from_slice::<Self>(body) {
            Ok(Self { code, field, detail, .. }) => Self {
                status,
                code: cut(&code, SHOWN_CHARS),
                field: cut(&field, SHOWN_CHARS),
                detail: cut(&detail, DETAIL_CHARS),
            },
            Err(_) => {
                let detail = cut(String::from_utf8_lossy(body).trim(), SHOWN_CHARS);
                Self { status, code: "not_a_problem".into(), field: String::new(), detail }
            }
        }
    }
}

fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
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
        assert_eq!(Problem::read(503, body).status, 503, "the body does not decide how it counts");
    }

    #[test]
    fn what_a_proxy_says_is_shown_as_it_is() {
        let problem = Problem::read(502, b"<h1>Bad Gateway</h1>\n");
        assert_eq!(problem.to_string(), "<h1>Bad Gateway</h1> (502 not_a_problem)");
        assert!(Error::Refused(problem).is_unreachable());
    }
}
