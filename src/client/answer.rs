//! The answer to one request, of whoever answers: bounded in bytes and in time, and never from another place than was asked.

use std::time::Duration;

use reqwest::header::LOCATION;
use reqwest::redirect::Policy;
use reqwest::{Client, Response};

use super::error::{Error, Problem};

/// Bytes of a body. The door's largest answers are lists of a thousand items and events of 256 KiB.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of a refusal, whose detail is a few sentences.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// A client of HTTP for the door alone: a proxy for the world outside has no business between the two, and what is shown to
/// enter is shown to nobody whom the door names.
///
/// # Errors
/// If this machine can't make one.
pub(crate) fn client(within: Duration) -> Result<Client, reqwest::Error> {
    Client::builder().no_proxy().redirect(Policy::none()).timeout(within).build()
}

/// The answer, if it is no refusal and no redirection.
///
/// # Errors
/// If it is.
pub(super) async fn accepted(answer: Response, url: &str) -> Result<Response, Error> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    if status.is_redirection() {
        let to = answer.headers().get(LOCATION).map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned());
        return Err(Error::Redirected { url: url.to_owned(), to: to.unwrap_or_default() });
    }
    let body = bytes(answer, url, REFUSAL_BYTES_MAX).await?;
    Err(Error::Refused(Problem::read(status.as_u16(), &body)))
}

/// The whole body of an answer.
///
/// # Errors
/// If it does not come, or has no end.
pub(crate) async fn body(answer: Response, url: &str) -> Result<Vec<u8>, Error> {
    bytes(answer, url, BODY_BYTES_MAX).await
}

async fn bytes(mut answer: Response, url: &str, bytes_max: usize) -> Result<Vec<u8>, Error> {
    let too_large = || Error::TooLarge { url: url.to_owned(), what: "an answer", bytes_max };
    let said = answer.content_length().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if said.is_some_and(|length| length > bytes_max) {
        return Err(too_large());
    }
    let mut body = Vec::with_capacity(said.unwrap_or_default());
    // The URL is said by our own error, and its path may be long.
    let unreached = |source: reqwest::Error| Error::Unreached { url: url.to_owned(), source: source.without_url() };
    while let Some(chunk) = answer.chunk().await.map_err(unreached)? {
        if body.len() + chunk.len() > bytes_max {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
