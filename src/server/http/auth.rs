//! Authentication: a bearer token, of which the log knows the SHA-256.
//!
//! Every route behind [`authenticate`] needs a token, unknown routes included. An auditor may read everything and do dry runs of
//! commands, and may change nothing. Whether a sender may still command is decided again at the head of the log.

use std::convert::Infallible;
use std::ops::Deref;
use std::sync::Arc;

use api::error_code::ErrorCode;
use api::path::{COMMANDS, MISSING_CONTENTS, REVERTS};
use api::query::AT;
use axum::extract::{FromRequestParts, Request};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use projections::configuration::Configuration;
use schema::command::Role;
use schema::digest::Digest;
use schema::id::PrincipalName;
use url::form_urlencoded;

use crate::http::connections::Connection;
use crate::http::context::AppState;
use crate::http::params::{DRY, GivenParams};
use crate::http::position_header::POSITION;
use crate::http::problem::ProblemResponse;
use crate::http::quota::Quota;
use crate::http::request_limits::overloaded;

/// The principal that sent a request.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) name: PrincipalName,
    /// The hash of the token that the request carries.
    token: Digest,
    pub(super) quota: Arc<Quota>,
    /// The connection of the request; none in tests that call the router.
    pub(super) connection: Option<Connection>,
}

/// The state of the server for one authenticated request.
#[derive(Clone)]
pub(super) struct AuthenticatedState {
    app: AppState,
    pub(super) caller: Caller,
}

impl Deref for AuthenticatedState {
    type Target = AppState;

    fn deref(&self) -> &AppState {
        &self.app
    }
}

impl FromRequestParts<AppState> for AuthenticatedState {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Infallible> {
        let caller =
            parts.extensions.get().cloned().expect("BUG: a handler that needs the caller is behind `authenticate`");
        Ok(Self { app: app.clone(), caller })
    }
}

impl AuthenticatedState {
    /// What the token of the request allows in a state.
    pub(super) fn role_in(&self, state: &Configuration) -> Result<Role, ProblemResponse> {
        let bearer = state.bearer(&self.caller.token).filter(|(name, _)| **name == self.caller.name);
        bearer.map(|(_, role)| role).ok_or_else(invalid_token)
    }

    /// Whether the token of the request is still valid, for the same principal.
    pub(super) fn token_is_valid(&self) -> bool {
        let view = self.log().view();
        view.bearer(&self.caller.token).is_some_and(|(name, _)| *name == self.caller.name)
    }
}

/// Identifies the caller, takes a request from its quota, and lets the request pass.
pub(super) async fn authenticate(
    app: &AppState,
    mut request: Request,
    answering: impl AsyncFnOnce(Request, Caller) -> Response,
) -> Response {
    let caller = match identify_caller(app, &request) {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    if caller.connection.as_ref().is_some_and(|connection| !connection.mark_authenticated()) {
        return overloaded("too many connections are at work").into_response();
    }
    let Ok(_permit) = Arc::clone(&caller.quota.requests).try_acquire_owned() else {
        return overloaded(&format!("too many requests of {} are being worked on", caller.name)).into_response();
    };
    request.extensions_mut().insert(caller.clone());
    // A refusal is about the present state, as the server had it when the request came, unless the request names another one.
    let seen = app.log().view().position();
    let names_state = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
        .any(|(name, _)| [AT, "from", "to", "size"].contains(&name.as_ref()));
    let mut response = answering(request, caller).await;
    if !names_state {
        response.headers_mut().entry(POSITION).or_insert_with(|| seen.get().into());
    }
    response
}

fn identify_caller(app: &AppState, request: &Request) -> Result<Caller, ProblemResponse> {
    let Some(token) = bearer(request.headers()) else {
        let problem = ProblemResponse::new(ErrorCode::MissingToken, "send `Authorization: Bearer <token>`");
        return Err(problem.in_field("Authorization").challenge("Bearer"));
    };
    let view = app.log().view();
    let token = Digest::of(token);
    let Some((name, role)) = view.bearer(&token) else {
        return Err(invalid_token());
    };
    match role {
        Role::Auditor if !only_reads(request) => {
            Err(ProblemResponse::new(ErrorCode::NotPermitted, format!("{name} may read, and change nothing")))
        }
        Role::Admin | Role::Auditor => Ok(Caller {
            name: name.clone(),
            token,
            quota: app.quota(name),
            connection: request.extensions().get().cloned(),
        }),
    }
}

fn invalid_token() -> ProblemResponse {
    let problem = ProblemResponse::new(ErrorCode::InvalidToken, "the token is unknown or was revoked");
    problem.in_field("Authorization").challenge("Bearer error=\"invalid_token\"")
}

/// Whether a request can't change anything.
fn only_reads(request: &Request) -> bool {
    match *request.method() {
        Method::GET | Method::HEAD | Method::OPTIONS => true,
        Method::POST if request.uri().path() == COMMANDS => {
            // A flag that is given twice is refused later on, whoever sends it.
            GivenParams::of_query(request.uri().query().unwrap_or_default()).flag(&DRY) == Ok(true)
        }
        Method::POST => [MISSING_CONTENTS, REVERTS].contains(&request.uri().path()),
        _ => false,
    }
}

/// The token of a request. The case of the scheme does not matter, that of the token does.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_what_follows_the_scheme() {
        let table: [(&str, Option<&[u8]>); 6] = [
            ("Bearer abc", Some(b"abc")),
            ("bearer  abc ", Some(b"abc")),
            ("Bearer ", None),
            ("Bearer", None),
            ("Basic abc=", None),
            ("abc", None),
        ];
        for (value, token) in table {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value.parse().expect("a header"))]);
            assert_eq!(bearer(&headers), token, "{value}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
