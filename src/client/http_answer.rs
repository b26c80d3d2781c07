//! Answers to single requests: bounded in bytes and in time, and only from the URL that was asked.

use std::time::Duration;

use reqwest::header::LOCATION;
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use tls::authorities::Authorities;

use super::error::{Error, parse_problem};

/// Bytes of a body. The largest answers of a server are lists of a thousand items and events of 256 KiB.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of a refusal, whose detail is a few sentences.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// An HTTP client without proxies and redirects: the token must reach nobody but the server that the user named, whose certificate one
/// of `authorities` has signed.
///
/// # Errors
/// If the CA can't be used, or this machine can't make a client.
pub(crate) fn http_client(url: &str, authorities: &Authorities, timeout: Duration) -> Result<Client, Error> {
    // What the system trusts is read only where it is needed.
    let authorities = if url.starts_with("https://") { authorities } else { &Authorities::Nobody };
    let tls = authorities.client_config()?;
    let client = Client::builder().tls_backend_preconfigured(tls).no_proxy().redirect(Policy::none()).timeout(timeout);
    client.build().map_err(|error| Error::unreachable(url, error))
}

/// The answer, if its status is a success.
///
/// # Errors
/// If it is a refusal or a redirect.
pub(super) async fn expect_success(answer: Response, url: &str) -> Result<Response, Error> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    if status.is_redirection() {
        let to = answer.headers().get(LOCATION).map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned());
        return Err(Error::Redirected { url: url.to_owned(), to: to.unwrap_or_default() });
    }
    let body = read_bytes(answer, url, REFUSAL_BYTES_MAX).await?;
    Err(Error::Refused(Box::new(parse_problem(status.as_u16(), &body))))
}

/// The whole body of an answer.
///
/// # Errors
/// If it does not arrive, or is too large.
pub(crate) async fn read_body(answer: Response, url: &str) -> Result<Vec<u8>, Error> {
    read_bytes(answer, url, BODY_BYTES_MAX).await
}

async fn read_bytes(mut answer: Response, url: &str, bytes_max: usize) -> Result<Vec<u8>, Error> {
    let too_large = || Error::TooLarge { url: url.to_owned(), what: "an answer", bytes_max };
    let announced = answer.content_length().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced.is_some_and(|length| length > bytes_max) {
        return Err(too_large());
    }
    let mut body = Vec::with_capacity(announced.unwrap_or_default());
    let unreachable = |error| Error::unreachable(url, error);
    while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > bytes_max {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
