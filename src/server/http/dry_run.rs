//! Dry runs: a request is decided against the newest snapshot and rendered, and nothing is kept. So an auditor may do one, too.

use std::time::{SystemTime, UNIX_EPOCH};

use api::impact::DryRunAnswer;
use projections::refusal::RequestRefusal;
use projections::request::{DecisionWithState, RequestContext, preview_request};
use replay::impact::node_digest_change;
use schema::answer::Answer;
use schema::entity::Actor;
use schema::id::CommandId;
use schema::instant::Instant;
use schema::request::Request;
use uuid::Uuid;

use crate::http::auth::AuthenticatedState;
use crate::http::impact::node_change;
use crate::http::problem::ProblemResponse;

/// Decides and renders a request.
pub(super) async fn dry_run(
    app: &AuthenticatedState,
    actor: Actor,
    request: Request,
) -> Result<DryRunAnswer, ProblemResponse> {
    let before = app.log().view();
    // Nothing is kept, so the request needs no id of its own, and a claim token that the answer shows is valid nowhere.
    let command_id = CommandId::from(Uuid::nil());
    let envelope = RequestContext { log_id: app.log().log_id(), command_id, actor, entropy: [0; 16], clock: clock() };
    let decided = app.run_expensive(async move {
        let DecisionWithState { configuration: after, affected, answer, .. } =
            preview_request(&before, &envelope, &request)?;
        let change = |node| node_change(node_digest_change(&before, &after, node));
        let desired = affected.iter().map(change).collect();
        Ok(DryRunAnswer { answer: Answer { command_id: None, ..answer }, dry_run: true, desired })
    });
    decided.await?.map_err(|refused: RequestRefusal| refused.into())
}

fn clock() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant::from_unix_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
