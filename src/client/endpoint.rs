//! Which server a command talks to: its URL, the token for it, and the context that gives what flags and variables do not.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::utf8_percent_encode;
use reqwest::header::HeaderValue;
use schema::id::Id;
use tls::plain::{PlainOption, PlainRefusal, is_loopback};
use url::Url;

use crate::url_path::SEGMENT;

/// Where a server listens by default.
const DEFAULT_URL: &str = "http://127.0.0.1:7300";

/// The options of every command that talks to a server. They make no group of clap's, so that several options can contain them.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Options {
    /// The context that gives what is not given otherwise: URL, token and CA. Without it the default of `headwater context use`
    /// does, unless a URL is given.
    #[arg(long, env = "HEADWATER_CONTEXT", value_name = "NAME")]
    pub context: Option<Id>,

    /// The URL of the server, https:// unless it is on this machine. `headwater dev` prints the URL of its own. Without one it is that of
    /// the context, and without a context the default.
    ///
    /// [default: http://127.0.0.1:7300]
    #[arg(long, env = "HEADWATER_URL", value_name = "URL")]
    pub url: Option<ServerUrl>,

    /// The token to authenticate with; without it that of the context. Give it as the variable: every user of the machine can read a
    /// command line.
    #[arg(long, env = "HEADWATER_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<BearerToken>,

    #[command(flatten)]
    pub(super) authorities: CaOption,

    #[command(flatten)]
    pub(super) plain: PlainOption,

    /// Read nothing older than this position. Where several servers share one URL, the one that answers may not have reached
    /// yet what another one wrote; it then waits, up to 5 s. Every command that writes prints its position with --json.
    #[arg(
        long,
        env = "HEADWATER_MIN_POSITION",
        value_name = "POSITION",
        default_value_t = 0,
        hide_default_value = true
    )]
    pub min_position: u64,
}

/// The CA of the server.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub struct CaOption {
    /// A PEM file with the CA that signed the server's certificate [default: the CAs that this system trusts]
    #[arg(long, env = "HEADWATER_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

impl Options {
    /// A server that needs no context.
    pub(super) fn of(url: ServerUrl, token: BearerToken, authorities: CaOption, plain: PlainOption) -> Self {
        Self { context: None, url: Some(url), token: Some(token), authorities, plain, min_position: 0 }
    }
}

/// The base URL of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl(String);

impl ServerUrl {
    /// The URL of a server on this machine that listens where servers do.
    pub(super) fn of_this_machine() -> Self {
        Self(DEFAULT_URL.to_owned())
    }

    /// Refuses to send a token to another machine in the clear, unless that is allowed.
    ///
    /// # Errors
    /// If the URL is that of another machine and begins with `http://`.
    pub(super) fn check_plain(&self, plain: PlainOption) -> Result<(), PlainRefusal> {
        let is_safe = self.is_https() || self.is_this_machine();
        plain.allow(is_safe, "--url", self.0.as_str(), "give a URL with https://")
    }

    /// The URL of a path, which begins with a slash.
    #[must_use]
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// The link with which a browser signs in to the console. The token is in the fragment, which a browser sends to nobody.
    #[must_use]
    pub fn sign_in_link(&self, token: &BearerToken) -> String {
        self.join(&format!("/console/#token={}", utf8_percent_encode(token.text(), SEGMENT)))
    }

    /// Whether TLS is spoken to it.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    fn is_this_machine(&self) -> bool {
        Url::parse(&self.0).is_ok_and(|url| url.host_str().is_some_and(is_loopback))
    }
}

/// Why a text is not the URL of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerUrlError {
    /// It is no HTTP URL.
    #[error("the server's URL begins with https:// or http:// and a host")]
    NotHttp,
    /// It has a user, a query or a fragment.
    #[error("the server's URL ends after host and port, or after the path that a proxy adds")]
    TooMuch,
}

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(text: &str) -> Result<Self, ServerUrlError> {
        let url = Url::parse(text).map_err(|_| ServerUrlError::NotHttp)?;
        match url.scheme() {
            "http" | "https" if url.has_host() => {}
            _ => return Err(ServerUrlError::NotHttp),
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return Err(ServerUrlError::TooMuch);
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A token as a header, which debug output does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken(HeaderValue);

/// The text can't be a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token has only visible ASCII characters, such as hw_ and 43 more")]
pub struct TokenFormatError;

impl BearerToken {
    /// The token itself, for whoever is to have it.
    pub(super) fn text(&self) -> &str {
        let text = self.0.to_str().ok().and_then(|header| header.strip_prefix("Bearer "));
        text.expect("BUG: a token is visible ASCII behind its scheme")
    }

    /// The value of the `Authorization` header.
    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl FromStr for BearerToken {
    type Err = TokenFormatError;

    fn from_str(text: &str) -> Result<Self, TokenFormatError> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenFormatError);
        }
        let mut header = HeaderValue::from_str(&format!("Bearer {text}")).map_err(|_| TokenFormatError)?;
        header.set_sensitive(true);
        Ok(Self(header))
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_where_the_server_is_and_nothing_more() {
        let table = [
            ("http://127.0.0.1:8080", Ok("http://127.0.0.1:8080/v1/log")),
            ("http://[::1]:80/", Ok("http://[::1]/v1/log")),
            ("http://site.example/headwater/", Ok("http://site.example/headwater/v1/log")),
            ("https://site.example", Ok("https://site.example/v1/log")),
            ("ftp://site.example", Err(ServerUrlError::NotHttp)),
            ("127.0.0.1:8080", Err(ServerUrlError::NotHttp)),
            ("localhost:8080", Err(ServerUrlError::NotHttp)),
            ("http://a?b", Err(ServerUrlError::TooMuch)),
            ("http://user:secret@a", Err(ServerUrlError::TooMuch)),
        ];
        for (text, expected) in table {
            let read = text.parse::<ServerUrl>().map(|url| url.join("/v1/log"));
            assert_eq!(read, expected.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn the_token_of_a_link_is_in_its_fragment_and_means_nothing_there() {
        for (url, token, link) in [
            ("http://127.0.0.1:7300", "hw_a-B", "http://127.0.0.1:7300/console/#token=hw_a-B"),
            ("https://site.example/cfg/", "a+b/c=&#%", "https://site.example/cfg/console/#token=a%2Bb%2Fc%3D%26%23%25"),
        ] {
            let token = token.parse().expect("a token");
            assert_eq!(url.parse::<ServerUrl>().expect("a URL").sign_in_link(&token), link);
        }
    }

    #[test]
    fn a_token_is_sent_in_the_clear_only_on_this_machine_or_where_that_is_allowed() {
        let allowed = |url: &str, plain: bool| {
            url.parse::<ServerUrl>().expect("a URL").check_plain(PlainOption { plain }).is_ok()
        };
        for url in ["https://site.example", "http://localhost:1", "http://127.0.0.1", "http://[::1]:7300/path"] {
            assert!(allowed(url, false), "{url}");
        }
        for url in ["http://site.example", "http://10.0.0.1:7300", "http://localhost.example"] {
            assert!(!allowed(url, false) && allowed(url, true), "{url}");
        }
    }

    #[test]
    fn a_token_is_never_shown_and_never_breaks_a_header() {
        let token: BearerToken = "hw_secret".parse().expect("a token");
        assert_eq!(format!("{token:?} {:?}", token.header()), "Token(…) Sensitive");
        for text in ["", "a b", "a\nb", "ä"] {
            assert_eq!(text.parse::<BearerToken>(), Err(TokenFormatError), "{text:?}");
        }
    }
}
