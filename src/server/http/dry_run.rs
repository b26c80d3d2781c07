//! What a request would do: decided against the newest snapshot and rendered, and nothing of it kept. So an auditor may ask, too.

use std::time::{SystemTime, UNIX_EPOCH};

use projections::refusal::Refused;
use projections::request::{Decided, Envelope, preview_request};
use replay::impact::node_turn;
use schema::answer::Answer;
use schema::entity::Actor;
use schema::id::CommandId;
use schema::instant::Instant;
use schema::request::Request;
use serde::Serialize;
use uuid::Uuid;

use crate::http::auth::Admitted;
use crate::http::impact::NodeTurn;
use crate::http::problem::Problem;

/// The answer that the request would get, and what would become of the nodes that it touches.
#[derive(Debug, Serialize)]
pub(super) struct Preview {
    /// The answer, whose positions are those that the events would have if nothing came before them.
    #[serde(flatten)]
    pub(super) answer: Answer,
    dry_run: bool,
    /// The desired digests of the nodes that it touches, before and after; none where there is no record.
    desired: Vec<NodeTurn>,
}

/// Decides and renders a request.
pub(super) async fn preview(door: &Admitted, actor: Actor, request: Request) -> Result<Preview, Problem> {
    let before = door.source().view();
    // Nothing of a preview is kept, so its identity means nothing, and a token that it shows opens nothing.
    let command_id = CommandId::from(Uuid::nil());
    let envelope = Envelope { log_id: door.source().log_id(), command_id, actor, entropy: [0; 16], clock: clock() };
    let previewed = door.costly(async move {
        let Decided { configuration: after, touched, answer, .. } = preview_request(&before, &envelope, &request)?;
        let turn = |node| NodeTurn::from(node_turn(&before, &after, node));
        let desired = touched.iter().map(turn).collect();
        Ok(Preview { answer: Answer { command_id: None, ..answer }, dry_run: true, desired })
    });
    previewed.await?.map_err(|refused: Refused| refused.into())
}

fn clock() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant::from_unix_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
