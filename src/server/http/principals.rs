//! Principals: who may speak to the door. The hash of a token is nobody's business and is not shown.

use axum::extract::Path;
use axum::response::Response;
use projections::configuration::Principal;
use schema::command::Role;
use schema::id::PrincipalName;
use schema::instant::Instant;
use schema::position::{Position, Version};
use serde::Serialize;

use crate::http::answer;
use crate::http::auth::Admitted;
use crate::http::params::Params;
use crate::http::problem::Problem;

/// A principal as it is shown.
#[derive(Serialize)]
struct View<'a> {
    name: &'a PrincipalName,
    role: Role,
    revoked: bool,
    version: Version,
    position: Position,
    at: Instant,
}

impl<'a> View<'a> {
    fn of(name: &'a PrincipalName, principal: &Principal) -> Self {
        let Principal { created, version, revoked, position, at } = principal;
        Self { name, role: created.role, revoked: *revoked, version: *version, position: *position, at: *at }
    }
}

/// `GET /v1/principals`
pub(super) async fn list(door: Admitted, params: Params) -> Result<Response, Problem> {
    let (page, room, state) = door.page(params).await?;
    let rows = state.principals().range(page.keys::<PrincipalName>());
    Ok(room.holding(answer::json(state.position(), page.list(rows, |name, principal| View::of(name, principal)))))
}

/// `GET /v1/principals/{name}`
pub(super) async fn one(door: Admitted, Path(name): Path<String>, params: Params) -> Result<Response, Problem> {
    let (name, state) = door.item::<PrincipalName>(&name, params).await?;
    match state.principals().get(&name) {
        Some(principal) => Ok(answer::json(state.position(), View::of(&name, principal))),
        None => Err(Problem::unknown("principal", name.as_str())),
    }
}
