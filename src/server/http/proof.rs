//! Checkpoints and proofs, with which an outsider can check that the log only grows and holds an event. Both are about published
//! events only. The server does not verify a proof before it answers: the caller has to do so in any case.

use api::error_code::ErrorCode;
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use replay::tree::TreeQuery;
use schema::digest::Digest;
use schema::id::LogId;
use schema::position::Position;
use serde::Serialize;

use crate::event_log::{EventPage, SignedCheckpoint};
use crate::http::answer::{self, accepts};
use crate::http::auth::AuthenticatedState;
use crate::http::context::AppState;
use crate::http::params::{QueryParams, number};
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::SnapshotQuery;

/// The media type of a signed note.
const NOTE: &str = "text/plain; charset=utf-8";

/// The proof that an event is in the log.
#[derive(Serialize)]
struct InclusionProof {
    log_id: LogId,
    position: Position,
    leaf: Digest,
    size: Position,
    root: Digest,
    hashes: Vec<Digest>,
}

/// The proof that the log only grew.
#[derive(Serialize)]
struct ConsistencyProof {
    log_id: LogId,
    from: Position,
    from_root: Digest,
    to: Position,
    to_root: Digest,
    hashes: Vec<Digest>,
}

/// `GET /v1/log/checkpoint`
pub(super) async fn checkpoint(
    app: AuthenticatedState,
    mut params: QueryParams,
    headers: HeaderMap,
) -> Result<Response, ProblemResponse> {
    let query = SnapshotQuery::present_from_params(&mut params)?;
    params.done()?;
    app.snapshot(query).await?;
    let checkpoint = app.newest_checkpoint().await?;
    if accepts(&headers, "text/plain") {
        return Ok(([(CONTENT_TYPE, NOTE)], checkpoint.note).into_response());
    }
    Ok(answer::json(checkpoint.position, checkpoint))
}

/// `GET /v1/log/proof/inclusion/{position}`: without a size, in the tree of the newest checkpoint.
pub(super) async fn inclusion(
    app: AuthenticatedState,
    Path(position): Path<String>,
    mut params: QueryParams,
) -> Result<Response, ProblemResponse> {
    let size = params.position("size")?;
    let query = SnapshotQuery::present_from_params(&mut params)?;
    params.done()?;
    let position: Position =
        number(&position).map_err(|detail| ProblemResponse::invalid_parameter("position", detail))?.into();
    app.snapshot(query).await?;
    let size = match size {
        Some(size) => app.published_position(size, "size")?,
        None => app.newest_checkpoint().await?.position,
    };
    if position == Position::ZERO {
        return Err(ProblemResponse::invalid_parameter("position", "is a position from 1"));
    }
    if position > size {
        return Err(ProblemResponse::unknown_entity("event", &position.to_string()).in_field("position"));
    }
    let page = EventPage { after: position.previous(), up_to: Some(position), limit: 1, ..EventPage::default() };
    let Some(event) = app.log().events(page).await?.pop() else {
        return Err(ProblemResponse::unknown_entity("event", &position.to_string()).in_field("position"));
    };
    let hashes = app.log().answer(TreeQuery::Inclusion { position, size }).await?;
    let (log_id, leaf, root) = (event.log_id, event.leaf, app.root(size).await?);
    Ok(answer::json(size, InclusionProof { log_id, position, leaf, size, root, hashes }))
}

/// `GET /v1/log/proof/consistency`: without `to`, to the tree of the newest checkpoint.
pub(super) async fn consistency(app: AuthenticatedState, mut params: QueryParams) -> Result<Response, ProblemResponse> {
    let (from, to) = (params.position("from")?, params.position("to")?);
    let query = SnapshotQuery::present_from_params(&mut params)?;
    params.done()?;
    let from = from.filter(|from| *from > Position::ZERO);
    let from = from.ok_or_else(|| ProblemResponse::invalid_parameter("from", "is a position from 1"))?;
    app.snapshot(query).await?;
    let to = match to {
        Some(to) => app.published_position(to, "to")?,
        None => app.newest_checkpoint().await?.position,
    };
    if from > to {
        return Err(ProblemResponse::invalid_parameter("from", format!("is at most {to}, where the larger tree ends")));
    }
    let hashes = app.log().answer(TreeQuery::Consistency { from, to }).await?;
    let (from_root, to_root) = (app.root(from).await?, app.root(to).await?);
    Ok(answer::json(to, ConsistencyProof { log_id: app.log().log_id(), from, from_root, to, to_root, hashes }))
}

impl AppState {
    /// The newest checkpoint: one for all events that are published by now, if the signer answers in time.
    async fn newest_checkpoint(&self) -> Result<SignedCheckpoint, ProblemResponse> {
        let newest = self.log().newest_checkpoint(self.published().unwrap_or_default()).await?;
        newest.ok_or_else(|| {
            let detail = "nothing was signed yet: the relay has not come that far";
            ProblemResponse::new(ErrorCode::NotReady, detail).retry_after(1)
        })
    }

    /// The position, if it is published; `name` is the parameter that it came in.
    fn published_position(&self, position: Position, name: &str) -> Result<Position, ProblemResponse> {
        match self.published() {
            Some(published) if position <= published => Ok(position),
            Some(published) => {
                let detail = format!("the log is published up to position {published}");
                Err(ProblemResponse::new(ErrorCode::NotPublished, detail).in_field(name))
            }
            None => {
                let detail = "how far the log is published is not known at the moment";
                Err(ProblemResponse::new(ErrorCode::NotReady, detail).retry_after(1))
            }
        }
    }

    async fn root(&self, size: Position) -> Result<Digest, ProblemResponse> {
        let root = self.log().answer(TreeQuery::Root { size }).await?;
        Ok(root.first().copied().expect("BUG: a root is one hash"))
    }
}
