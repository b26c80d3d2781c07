//! Contents that the log holds: a sender names them by their digests and need not send them again.

use std::collections::BTreeSet;

use api::contents::{AskedContents, DIGESTS_MAX, MissingContents};
use api::error_code::ErrorCode;
use schema::command::Command;
use schema::digest::Digest;
use schema::invalid::InputError;
use schema::json::read_json;
use schema::request::Request;

use crate::http::answer::JsonAnswer;
use crate::http::auth::AuthenticatedState;
use crate::http::operation::Asked;
use crate::http::problem::ProblemResponse;

/// What a small body can be refused with before it is read.
pub(super) const CODES: [ErrorCode; 5] = [
    ErrorCode::BodyTimeout,
    ErrorCode::BodyTooLarge,
    ErrorCode::IncompleteBody,
    ErrorCode::UnsupportedContentEncoding,
    ErrorCode::UnsupportedMediaType,
];

/// `POST /v1/contents/missing`
pub(super) async fn missing(asked: Asked<()>) -> Result<JsonAnswer<MissingContents>, ProblemResponse> {
    let Asked { app, headers, body, .. } = asked;
    let received = app.read_body(&headers, body).await?;
    let AskedContents { mut digests } = read_json(&received.bytes)?;
    if digests.len() > DIGESTS_MAX {
        let detail = format!("a question has at most {DIGESTS_MAX} digests, this one {}", digests.len());
        return Err(InputError::new("too_many", detail).at("digests").into());
    }
    let absent = app.log().absent_contents(digests.clone()).await?;
    let mut seen = BTreeSet::new();
    digests.retain(|digest| absent.contains(digest) && seen.insert(*digest));
    Ok(JsonAnswer::new(app.log().view().position(), MissingContents { missing: digests }))
}

impl AuthenticatedState {
    /// Looks up the contents that a request names by their digests. Those that the log does not hold are refused when it is decided.
    pub(super) async fn resolve_contents(&self, request: &mut Request) -> Result<(), ProblemResponse> {
        let mut puts: Vec<_> = request
            .commands
            .iter_mut()
            .filter_map(|ask| match &mut ask.command {
                Command::PutDocument(put) if put.content.known().is_none() => Some(put),
                _ => None,
            })
            .collect();
        if puts.is_empty() {
            return Ok(());
        }
        let named: BTreeSet<Digest> = puts.iter().map(|put| put.content.digest()).collect();
        let known = self.log().known_contents(named.into_iter().collect()).await?;
        puts.iter_mut().for_each(|put| put.content.resolve(|digest| known.get(digest).copied()));
        Ok(())
    }
}
