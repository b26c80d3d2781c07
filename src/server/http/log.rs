//! `GET /v1/log`: which log this is, how far it has come, and whose signature to trust.

use axum::response::Response;
use schema::digest::Digest;
use schema::id::LogId;
use schema::instant::Instant;
use schema::position::Position;
use serde::Serialize;

use crate::http::answer;
use crate::http::auth::Admitted;
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::http::snapshot::When;

/// The log as it is shown.
#[derive(Serialize)]
struct View {
    log_id: LogId,
    position: Position,
    at: Instant,
    /// The last sequence of `cfg_events`, if that is known.
    published: Option<Position>,
    /// What the relay of the server that answers does; one of several servers is `following`.
    relay: Option<&'static str>,
    signing_key: String,
    key_id: Digest,
}

/// Shows the log.
pub(super) async fn show(door: Admitted, mut params: Params) -> Result<Response, Problem> {
    let when = When::take(&mut params)?;
    params.done()?;
    let state = door.snapshot(when).await?.configuration;
    let key = door.source().public_key();
    let view = View {
        log_id: door.source().log_id(),
        position: state.position(),
        at: state.at(),
        published: door.published(),
        relay: door.relay(),
        signing_key: hex::encode(key.as_bytes()),
        key_id: key.id(),
    };
    Ok(answer::json(state.position(), view))
}
