//! Principals: people and programs that have, or had, a token. The hash of a token is not shown.

use api::principal::PrincipalView;
use axum::extract::Path;
use axum::response::Response;
use projections::configuration::Principal;
use schema::id::PrincipalName;

use crate::http::answer;
use crate::http::auth::AuthenticatedState;
use crate::http::params::QueryParams;
use crate::http::problem::ProblemResponse;

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
pub(super) async fn list(app: AuthenticatedState, params: QueryParams) -> Result<Response, ProblemResponse> {
    let (page, memory, state) = app.page(params).await?;
    let rows = state.principals().range(page.keys::<PrincipalName>());
    Ok(memory.attach_to(answer::json(state.position(), page.list(rows, |name, principal| view(name, principal)))))
}

/// `GET /v1/principals/{name}`
pub(super) async fn one(
    app: AuthenticatedState,
    Path(name): Path<String>,
    params: QueryParams,
) -> Result<Response, ProblemResponse> {
    let (name, state) = app.item::<PrincipalName>(&name, params).await?;
    match state.principals().get(&name) {
        Some(principal) => Ok(answer::json(state.position(), view(&name, principal))),
        None => Err(ProblemResponse::unknown_entity("principal", name.as_str())),
    }
}
