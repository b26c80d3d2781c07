//! Tokens with which nodes join.

use api::join_token::JoinTokenView;
use projections::identities::JoinToken;
use schema::id::JoinTokenId;
use schema::instant::Instant;

use crate::http::answer::JsonAnswer;
use crate::http::operation::Asked;
use crate::http::paging::{PageQuery, RenderedPage};
use crate::http::path_id::PathId;
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::SnapshotQuery;

/// A token as it is at a time: that of the state's last event, for a state of the past.
fn view(id: &JoinTokenId, token: &JoinToken, at: Instant) -> JoinTokenView {
    JoinTokenView {
        id: id.clone(),
        state: token.state(at).name().to_owned(),
        node: token.created.node.clone(),
        labels: token.created.labels.clone(),
        uses: token.created.uses,
        used: token.uses,
        nodes: token.used.keys().cloned().collect(),
        expires: token.expires(),
        key: token.created.key,
        version: token.version,
        position: token.position,
    }
}

/// `GET /v1/join-tokens`
pub(super) async fn list(
    asked: Asked<(PageQuery, SnapshotQuery)>,
) -> Result<JsonAnswer<RenderedPage<JoinTokenView>>, ProblemResponse> {
    let Asked { app, params: (page, query), .. } = asked;
    let (memory, state) = app.page(&page, query).await?;
    let rows = state.identities().tokens().range(page.keys::<JoinTokenId>());
    let listed = page.list(rows, |id, token| view(id, token, state.at()));
    Ok(JsonAnswer::new(state.position(), listed).with_memory(memory))
}

/// `GET /v1/join-tokens/{id}`
pub(super) async fn one(
    asked: Asked<(PathId<JoinTokenId>, SnapshotQuery)>,
) -> Result<JsonAnswer<JoinTokenView>, ProblemResponse> {
    let Asked { app, params: (PathId(id), query), .. } = asked;
    let state = app.snapshot(query).await?.configuration;
    match state.identities().tokens().get(&id) {
        Some(token) => Ok(JsonAnswer::new(state.position(), view(&id, token, state.at()))),
        None => Err(ProblemResponse::unknown_entity("join token", id.as_str())),
    }
}
