//! Principals: who may speak to the door. The hash of a token is nobody's business and is not shown.

use axum::extract::{Path, State};
use axum::response::Response;
use projections::configuration::Principal;
use schema::command::Role;
use schema::id::PrincipalName;
use schema::instant::Instant;
use schema::position::{Position, Version};
use serde::Serialize;

use super::answer;
use super::documents::read;
use super::paging::Page;
use super::params::Params;
use super::problem::Problem;
use super::router::Door;
use super::snapshot::When;

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
pub(super) async fn list(State(door): State<Door>, mut params: Params) -> Result<Response, Problem> {
    let page = Page::take(&mut params)?;
    let when = When::take(&mut params)?;
    params.done()?;
    let state = door.snapshot(when).await?.configuration;
    let rows = state.principals().range(page.keys::<PrincipalName>());
    Ok(answer::json(state.position(), page.list(rows, |name, principal| View::of(name, principal))))
}

/// `GET /v1/principals/{name}`
pub(super) async fn one(
    State(door): State<Door>,
    Path(name): Path<String>,
    mut params: Params,
) -> Result<Response, Problem> {
    let when = When::take(&mut params)?;
    params.done()?;
    let state = door.snapshot(when).await?.configuration;
    let name: PrincipalName = read(&name)?;
    match state.principals().get(&name) {
        Some(principal) => Ok(answer::json(state.position(), View::of(&name, principal))),
        None => Err(Problem::unknown("principal", name.as_str())),
    }
}
