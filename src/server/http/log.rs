//! `GET /v1/log`: which log this is, how far it has come, and whose signature to trust.

use api::log::LogStatus;

use crate::http::answer::JsonAnswer;
use crate::http::operation::Asked;
use crate::http::params::{GivenParams, Parameter, RequestParameters};
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::SnapshotQuery;

/// `min_position` and `at`. The answer changes all the same: how far the log is published is not part of a past state.
pub(super) struct LogQuery(SnapshotQuery);

impl RequestParameters for LogQuery {
    fn declared() -> Vec<Parameter> {
        SnapshotQuery::declared()
    }

    fn codes() -> Vec<api::error_code::ErrorCode> {
        SnapshotQuery::codes()
    }

    fn take(given: &GivenParams) -> Result<Self, ProblemResponse> {
        SnapshotQuery::take(given).map(Self)
    }
}

/// `GET /v1/log`
pub(super) async fn show(asked: Asked<LogQuery>) -> Result<JsonAnswer<LogStatus>, ProblemResponse> {
    let Asked { app, params: LogQuery(query), .. } = asked;
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
    Ok(JsonAnswer::new(state.position(), status))
}
