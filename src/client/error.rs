//! Why a request to the server failed.

use api::problem::Problem;
use program::exit::ExitClass;
use schema::id::{Id, LogId};
use tls::error::Error as TlsError;
use tls::handshake_fault::HandshakeFault;
use tls::plain::PlainRefusal;

use super::stored_context::context_error::ContextError;

/// The flag with the CA.
const CA_FLAG: &str = "--ca-file (HEADWATER_CA_FILE)";
/// Characters that are shown of an answer that is no problem document, or of a name in one.
const SHOWN_CHARS: usize = 200;
/// Characters that are shown of the detail of a problem.
const DETAIL_CHARS: usize = 4_000;

/// The server did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server answered with an error.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// No answer, or not in time.
    #[error("could not reach the server at {url}")]
    Unreachable {
        /// The URL of the request.
        url: String,
        /// Why not.
        source: reqwest::Error,
    },
    /// The TLS handshake failed, so that nothing was sent.
    #[error("could not reach the server at {url}: {} ({})", fault.advice(CA_FLAG), fault.code())]
    Handshake {
        /// The URL of the request.
        url: String,
        /// What it means.
        fault: HandshakeFault,
        /// What was wrong.
        source: reqwest::Error,
    },
    /// The token would be sent to another machine in the clear.
    #[error("{0} (plain_url)")]
    Plain(#[from] PlainRefusal),
    /// The file with the CA can't be used.
    #[error("the CA of the server can't be used (ca_file)")]
    Authorities(#[from] TlsError),
    /// The context can't be used, or there is no token.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The server has another log than the context says.
    #[error(
        "context {context} is for log {pinned}, and the server at {url} has log {found}: nothing else was asked of it. If the log was \
         begun anew on purpose, remove the context and add it again"
    )]
    OtherLog {
        /// The server's URL.
        url: String,
        /// The context.
        context: Id,
        /// The log that it is for.
        pinned: LogId,
        /// The log that the server has.
        found: LogId,
    },
    /// A live stream sent nothing for so long that it counts as broken.
    #[error("the server at {url} sends nothing any more")]
    Silent {
        /// The URL of the request.
        url: String,
    },
    /// The answer can't be read: it is not from a server of Headwater, or from one of another version.
    #[error("the answer from {url} can't be read: no server of this version sends it")]
    UnreadableAnswer {
        /// The URL of the request.
        url: String,
        /// What can't be read.
        source: serde_json::Error,
    },
    /// An answer is larger than any that a server sends.
    #[error("{url} sent {what} of more than {bytes_max} bytes, which no server of Headwater does")]
    TooLarge {
        /// The URL of the request.
        url: String,
        /// What is too large.
        what: &'static str,
        /// The limit.
        bytes_max: usize,
    },
    /// The answer is a redirect, which is not followed: the token must not go to another server.
    #[error(
        "{url} redirects to `{}`, and redirects are not followed: if that is the server, give its URL",
        cut(to, SHOWN_CHARS)
    )]
    Redirected {
        /// The URL of the request.
        url: String,
        /// Where to.
        to: String,
    },
    /// A list or a stream repeats a cursor or a position.
    #[error(
        "the list or stream at {url} does not go on: `{}` does not come after what was sent before",
        cut(cursor, SHOWN_CHARS)
    )]
    NoProgress {
        /// The URL of the request.
        url: String,
        /// The cursor or the position.
        cursor: String,
    },
}

impl Error {
    /// The request to `url` had no answer.
    pub(crate) fn unreachable(url: &str, error: reqwest::Error) -> Self {
        // This error names the URL, whose path may be long.
        let (url, source) = (url.to_owned(), error.without_url());
        match HandshakeFault::of(&source) {
            Some(fault) => Self::Handshake { url, fault, source },
            None => Self::Unreachable { url, source },
        }
    }

    /// The class of the failure.
    #[must_use]
    pub fn exit_class(&self) -> ExitClass {
        match self {
            Self::Plain(_) | Self::Authorities(_) | Self::Context(_) => ExitClass::Usage,
            other if other.is_unreachable() => ExitClass::Unreachable,
            _ => ExitClass::Refused,
        }
    }

    /// Whether the server, or what it depends on, could not be reached. If not, the request was refused.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Refused(problem) => problem.status >= 500,
            Self::Unreachable { .. } | Self::Handshake { .. } | Self::Silent { .. } => true,
            Self::Plain(_)
            | Self::Authorities(_)
            | Self::Context(_)
            | Self::OtherLog { .. }
            | Self::UnreadableAnswer { .. }
            | Self::TooLarge { .. }
            | Self::Redirected { .. }
            | Self::NoProgress { .. } => false,
        }
    }

    /// Whether the server refused the request, so that it changed nothing.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(problem) if (400..500).contains(&problem.status))
    }

    /// The stable code: the server's, if it answered with an error.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Refused(problem) => &problem.code,
            Self::Unreachable { .. } | Self::Silent { .. } => "unreachable",
            Self::Handshake { fault, .. } => fault.code(),
            Self::Plain(_) => "plain_url",
            Self::Authorities(_) => "ca_file",
            Self::Context(_) => "context",
            Self::OtherLog { .. } => "other_log",
            Self::UnreadableAnswer { .. } => "strange_answer",
            Self::TooLarge { .. } => "answer_too_large",
            Self::Redirected { .. } => "redirected",
            Self::NoProgress { .. } => "no_progress",
        }
    }
}

/// The problem document in the body of an error answer; one is made if the body is something else, such as a proxy's page. Its
/// status is that of the answer, whatever the body says.
pub(super) fn parse_problem(status: u16, body: &[u8]) -> Problem {
    let problem = serde_json::from_slice(body).unwrap_or_else(|_| Problem {
        type_uri: Problem::about_blank(),
        title: String::new(),
        status,
        code: "not_a_problem".into(),
        field: String::new(),
        detail: cut(String::from_utf8_lossy(body).trim(), SHOWN_CHARS),
    });
    Problem {
        status,
        code: cut(&problem.code, SHOWN_CHARS),
        field: cut(&problem.field, SHOWN_CHARS),
        detail: cut(&problem.detail, DETAIL_CHARS),
        ..problem
    }
}

fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_read_into_one_line() {
        let body = br#"{"type":"about:blank","title":"Conflict","status":409,"code":"principal_exists",
            "field":"commands[0].name","detail":"principal a exists already"}"#;
        let problem = parse_problem(409, body);
        assert_eq!(problem.to_string(), "principal a exists already (409 principal_exists, in commands[0].name)");
        assert!(!Error::Refused(Box::new(problem)).is_unreachable());
        assert_eq!(parse_problem(503, body).status, 503, "the body does not decide how it counts");
    }

    #[test]
    fn what_a_proxy_says_is_shown_as_it_is() {
        let problem = parse_problem(502, b"<h1>Bad Gateway</h1>\n");
        assert_eq!(problem.to_string(), "<h1>Bad Gateway</h1> (502 not_a_problem)");
        assert!(Error::Refused(Box::new(problem)).is_unreachable());
    }
}
