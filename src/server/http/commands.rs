//! `POST /v1/commands`: one request, decided and appended together or not at all.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use schema::entity::Actor;
use schema::limit::IDEMPOTENCY_KEY_BYTES_MAX;
use schema::request::Request;

use crate::http::answer;
use crate::http::auth::{Admitted, DRY_RUN};
use crate::http::blocking::apart;
use crate::http::dry_run;
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::source::CommandSubmission;

/// The header under which a request may be sent again.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Bodies from this size on are read where their reading holds up nobody: a mebibyte of JSON takes about 5 ms.
const LARGE_BODY_BYTES: usize = 64 * 1024;

/// Takes a request in.
pub(super) async fn post(
    door: Admitted,
    mut params: Params,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let dry_run = params.flag(DRY_RUN)?;
    params.done()?;
    let key = key(&headers)?;
    let held = door.body(&headers, body).await?;
    let request = read(held.bytes.clone()).await?;
    let actor = Actor::Principal(door.caller.name.clone());
    if dry_run {
        let preview = dry_run::preview(&door, actor, request).await?;
        return Ok(answer::json(preview.answer.position, preview));
    }
    let answered = door.source().submit(CommandSubmission { request, actor, key }).await?;
    Ok(answer::json(answered.position, answered))
}

async fn read(body: Bytes) -> Result<Request, Problem> {
    let request = match body.len() {
        LARGE_BODY_BYTES.. => apart(move || Request::read(&body)).await,
        _ => Request::read(&body),
    };
    Ok(request?)
}

/// A key is one header of 1 to 255 visible ASCII characters, taken as it is.
fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
    let (Some(key), more) = (given.next(), given.next()) else { return Ok(None) };
    let visible = key.as_bytes().iter().all(u8::is_ascii_graphic);
    match key.to_str() {
        Ok(text) if visible && more.is_none() && (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&text.len()) => {
            Ok(Some(text.to_string()))
        }
        _ => {
            let detail = format!("one key of 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters is possible");
            let problem = Problem::new(StatusCode::BAD_REQUEST, "invalid_idempotency_key", detail);
            Err(problem.at("Idempotency-Key"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn a_key_is_visible_ascii_and_only_one() {
        let read = |keys: &[&str]| {
            let mut headers = HeaderMap::new();
            for text in keys {
                headers.append(IDEMPOTENCY_KEY, HeaderValue::from_bytes(text.as_bytes()).expect("a header"));
            }
            key(&headers)
        };
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["a-1~"]), Ok(Some("a-1~".to_string())));
        let longest = "k".repeat(IDEMPOTENCY_KEY_BYTES_MAX);
        assert_eq!(read(&[&longest]), Ok(Some(longest.clone())));
        let too_long = "k".repeat(IDEMPOTENCY_KEY_BYTES_MAX + 1);
        for refused in [&[""][..], &["a b"], &["ä"], &["a", "a"], &[&too_long]] {
            assert!(read(refused).is_err(), "{refused:?}");
        }
    }
}
