//! Where the door is, and what is shown to enter it.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use reqwest::header::HeaderValue;
use url::Url;

/// Where a server's door is that was not told otherwise.
const DEFAULT_URL: &str = "http://127.0.0.1:7300";

/// Which door, and as whom. Part of the options of every command that speaks to one, and no group among them.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Where the door is. `headwater dev` says where its own is.
    #[arg(long, env = "HEADWATER_URL", value_name = "URL", default_value = DEFAULT_URL)]
    pub url: DoorUrl,

    /// The token to enter with. Give it as the variable: everybody on the machine can read a command line.
    #[arg(long, env = "HEADWATER_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub token: Token,

    /// Read nothing older than this position. Where several servers share one URL, the one that answers may not have seen yet
    /// what another one wrote; it then waits, up to 5 s. Every command that writes says its position with --json.
    #[arg(
        long,
        env = "HEADWATER_MIN_POSITION",
        value_name = "POSITION",
        default_value_t = 0,
        hide_default_value = true
    )]
    pub min_position: u64,
}

/// The URL of a door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorUrl(String);

impl DoorUrl {
    /// The URL of something below it; `path` begins with a slash.
    #[must_use]
    pub fn below(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

/// Text that is not the URL of a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    /// It is no URL of HTTP.
    #[error("the door's URL begins with http:// and a host")]
    NotHttp,
    /// It asks for TLS.
    #[error("this program speaks no TLS: go through a local proxy, or an SSH tunnel, that does")]
    Tls,
    /// It says more than where the door is.
    #[error("the door's URL ends after host and port, or after the path that a proxy put before it")]
    TooMuch,
}

impl From<SocketAddr> for DoorUrl {
    fn from(address: SocketAddr) -> Self {
        Self(format!("http://{address}"))
    }
}

impl FromStr for DoorUrl {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        let url = Url::parse(text).map_err(|_| BadUrl::NotHttp)?;
        match url.scheme() {
            "http" if url.has_host() => {}
            "https" => return Err(BadUrl::Tls),
            _ => return Err(BadUrl::NotHttp),
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return Err(BadUrl::TooMuch);
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for DoorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A token, which no debug output shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(HeaderValue);

/// Text that can't be a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token is visible characters of ASCII, such as hw_ and 43 more")]
pub struct BadToken;

impl Token {
    /// As the door wants to see it.
    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl FromStr for Token {
    type Err = BadToken;

    fn from_str(text: &str) -> Result<Self, BadToken> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BadToken);
        }
        let mut header = HeaderValue::from_str(&format!("Bearer {text}")).map_err(|_| BadToken)?;
        header.set_sensitive(true);
        Ok(Self(header))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_where_the_door_is_and_nothing_more() {
        let table = [
            ("http://127.0.0.1:8080", Ok("http://127.0.0.1:8080/v1/log")),
            ("http://[::1]:80/", Ok("http://[::1]/v1/log")),
            ("http://site.example/headwater/", Ok("http://site.example/headwater/v1/log")),
            ("https://site.example", Err(BadUrl::Tls)),
            ("127.0.0.1:8080", Err(BadUrl::NotHttp)),
            ("localhost:8080", Err(BadUrl::NotHttp)),
            ("http://a?b", Err(BadUrl::TooMuch)),
            ("http://user:secret@a", Err(BadUrl::TooMuch)),
        ];
        for (text, expected) in table {
            let read = text.parse::<DoorUrl>().map(|url| url.below("/v1/log"));
            assert_eq!(read, expected.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn a_token_is_never_shown_and_never_breaks_a_header() {
        let token: Token = "hw_secret".parse().expect("a token");
        assert_eq!(format!("{token:?} {:?}", token.header()), "Token(…) Sensitive");
        for text in ["", "a b", "a\nb", "ä"] {
            assert_eq!(text.parse::<Token>(), Err(BadToken), "{text:?}");
        }
    }
}
