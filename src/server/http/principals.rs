//! Principals: people and programs that have, or had, a token. The hash of a token is not shown.

use api::principal::{PrincipalView, WhoAmI};
use projections::configuration::Principal;
use schema::id::PrincipalName;

use crate::http::answer::JsonAnswer;
use crate::http::operation::Asked;
use crate::http::paging::{PageQuery, RenderedPage};
use crate::http::path_id::PathId;
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::{PresentQuery, SnapshotQuery};

fn view(name: &PrincipalName, principal: &Principal) -> PrincipalView {
    let Principal { created, version, revoked, position, at } = principal;
    PrincipalView {
        name: name.clone(),
        role: created.role,
        revoked: *revoked,
        version: *version,
        position: *position,
        at: *at,
    }
}

/// `GET /v1/principals`
pub(super) async fn list(
    asked: Asked<(PageQuery, SnapshotQuery)>,
) -> Result<JsonAnswer<RenderedPage<PrincipalView>>, ProblemResponse> {
    let Asked { app, params: (page, query), .. } = asked;
    let (memory, state) = app.page(&page, query).await?;
    let rows = state.principals().range(page.keys::<PrincipalName>());
    let listed = page.list(rows, |name, principal| view(name, principal));
    Ok(JsonAnswer::new(state.position(), listed).with_memory(memory))
}

/// `GET /v1/principals/{id}`
pub(super) async fn one(
    asked: Asked<(PathId<PrincipalName>, SnapshotQuery)>,
) -> Result<JsonAnswer<PrincipalView>, ProblemResponse> {
    let Asked { app, params: (PathId(name), query), .. } = asked;
    let state = app.snapshot(query).await?.configuration;
    match state.principals().get(&name) {
        Some(principal) => Ok(JsonAnswer::new(state.position(), view(&name, principal))),
        None => Err(ProblemResponse::unknown_entity("principal", name.as_str())),
    }
}

/// `GET /v1/whoami`
pub(super) async fn whoami(asked: Asked<PresentQuery>) -> Result<JsonAnswer<WhoAmI>, ProblemResponse> {
    let Asked { app, params: query, .. } = asked;
    let state = app.snapshot(query).await?.configuration;
    let (name, role, log_id) = (app.caller.name.clone(), app.role_in(&state)?, app.log().log_id());
    Ok(JsonAnswer::new(state.position(), WhoAmI { name, role, log_id }))
}
