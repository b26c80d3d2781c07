//! Checkpoints and proofs: what lets a stranger hold the log to its word. What is asked about is what is published; a proof
//! is given as it is made, because whoever asks checks it anyway.

use axum::extract::Path;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use replay::tree::Question;
use schema::digest::Digest;
use schema::id::LogId;
use schema::instant::Instant;
use schema::position::Position;
use serde::Serialize;

use crate::http::answer;
use crate::http::auth::Admitted;
use crate::http::context::Door;
use crate::http::params::{Params, number};
use crate::http::problem::Problem;
use crate::http::snapshot::When;
use crate::source::{EventQuery, SignedRoot};

/// The media type of a signed note.
const NOTE: &str = "text/plain; charset=utf-8";

/// A checkpoint as it is shown.
#[derive(Serialize)]
struct Checkpoint {
    log_id: LogId,
    position: Position,
    root: Digest,
    at: Instant,
    /// The signed note, byte for byte.
    note: String,
}

/// That an event is in the log.
#[derive(Serialize)]
struct Inclusion {
    log_id: LogId,
    position: Position,
    leaf: Digest,
    size: Position,
    root: Digest,
    hashes: Vec<Digest>,
}

/// That the log only grew.
#[derive(Serialize)]
struct Consistency {
    log_id: LogId,
    from: Position,
    from_root: Digest,
    to: Position,
    to_root: Digest,
    hashes: Vec<Digest>,
}

/// `GET /v1/log/checkpoint`
pub(super) async fn checkpoint(door: Admitted, mut params: Params, headers: HeaderMap) -> Result<Response, Problem> {
    let when = When::take_present(&mut params)?;
    params.done()?;
    door.snapshot(when).await?;
    let SignedRoot { position, root, at, note } = door.signed_root().await?;
    if wants_note(&headers) {
        return Ok(([(CONTENT_TYPE, NOTE)], note).into_response());
    }
    Ok(answer::json(position, Checkpoint { log_id: door.source().log_id(), position, root, at, note }))
}

/// `GET /v1/log/proof/inclusion/{position}`: without a size, in the tree of the newest checkpoint.
pub(super) async fn inclusion(
    door: Admitted,
    Path(position): Path<String>,
    mut params: Params,
) -> Result<Response, Problem> {
    let size = params.position("size")?;
    let when = When::take_present(&mut params)?;
    params.done()?;
    let position: Position = number(&position).map_err(|detail| Problem::parameter("position", detail))?.into();
    door.snapshot(when).await?;
    let size = match size {
        Some(size) => door.public(size, "size")?,
        None => door.signed_root().await?.position,
    };
    if position == Position::ZERO {
        return Err(Problem::parameter("position", "is a position from 1"));
    }
    if position > size {
        return Err(Problem::unknown("event", &position.to_string()).at("position"));
    }
    let after = Position::from(position.get() - 1);
    let page = EventQuery { after, up_to: position, limit: 1, bytes: 0, entity: None, event_type: None };
    let Some(event) = door.source().events(page).await?.pop() else {
        return Err(Problem::unknown("event", &position.to_string()).at("position"));
    };
    let hashes = door.source().answer(Question::Inclusion { position, size }).await?;
    let (log_id, leaf, root) = (event.log_id, event.leaf, door.root(size).await?);
    Ok(answer::json(size, Inclusion { log_id, position, leaf, size, root, hashes }))
}

/// `GET /v1/log/proof/consistency`: without `to`, to the tree of the newest checkpoint.
pub(super) async fn consistency(door: Admitted, mut params: Params) -> Result<Response, Problem> {
    let (from, to) = (params.position("from")?, params.position("to")?);
    let when = When::take_present(&mut params)?;
    params.done()?;
    let from = from.filter(|from| *from > Position::ZERO);
    let from = from.ok_or_else(|| Problem::parameter("from", "is a position from 1"))?;
    door.snapshot(when).await?;
    let to = match to {
        Some(to) => door.public(to, "to")?,
        None => door.signed_root().await?.position,
    };
    if from > to {
        return Err(Problem::parameter("from", format!("is at most {to}, where the larger tree ends")));
    }
    let hashes = door.source().answer(Question::Consistency { from, to }).await?;
    let (from_root, to_root) = (door.root(from).await?, door.root(to).await?);
    Ok(answer::json(to, Consistency { log_id: door.source().log_id(), from, from_root, to, to_root, hashes }))
}

impl Door {
    /// The newest checkpoint: for all that is published by now, if its signer can be reached.
    async fn signed_root(&self) -> Result<SignedRoot, Problem> {
        let newest = self.source().signed_root(self.published().unwrap_or_default()).await?;
        newest.ok_or_else(|| {
            let detail = "nothing was signed yet: the relay has not come that far";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", detail).retry_after(1)
        })
    }

    /// A position that is published.
    fn public(&self, position: Position, name: &str) -> Result<Position, Problem> {
        match self.published() {
            Some(published) if position <= published => Ok(position),
            Some(published) => {
                let detail = format!("the log is published up to position {published}");
                Err(Problem::new(StatusCode::NOT_FOUND, "not_published", detail).at(name))
            }
            None => {
                let detail = "how far the log is published is not known at the moment";
                Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", detail).retry_after(1))
            }
        }
    }

    async fn root(&self, size: Position) -> Result<Digest, Problem> {
        let root = self.source().answer(Question::Root { size }).await?;
        Ok(root.first().copied().expect("BUG: a root is one hash"))
    }
}

fn wants_note(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut kinds = accepted.flat_map(|list| list.split(',')).filter_map(|kind| kind.split(';').next());
    kinds.any(|kind| kind.trim().eq_ignore_ascii_case("text/plain"))
}
