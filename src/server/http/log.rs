//! `GET /v1/log`: which log this is, how far it has come, and whose signature to trust.

use api::log::LogStatus;
use axum::response::Response;

use crate::http::answer;
use crate::http::auth::AuthenticatedState;
use crate::http::params::QueryParams;
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::SnapshotQuery;

/// `GET /v1/log`
pub(super) async fn show(app: AuthenticatedState, mut params: QueryParams) -> Result<Response, ProblemResponse> {
    let query = SnapshotQuery::from_params(&mut params)?;
    params.done()?;
    let state = app.snapshot(query).await?.configuration;
    let key = app.log().public_key();
    let status = LogStatus {
        log_id: app.log().log_id(),
        position: state.position(),
        at: state.at(),
        published: app.published(),
        relay: app.relay().map(str::to_owned),
        signing_key: hex::encode(key.as_bytes()),
        key_id: key.id(),
    };
    Ok(answer::json(state.position(), status))
}
