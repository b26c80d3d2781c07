//! Who speaks: a bearer token, of which the log knows the hash.
//!
//! The door is closed unless a token opens it, unknown routes included. An auditor may read everything, ask what commands
//! would do, and change nothing. Whether a command's sender may still command is decided again at the head of the log.

use std::convert::Infallible;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use schema::command::Role;
use schema::digest::Digest;
use schema::id::PrincipalName;

use crate::http::account::Account;
use crate::http::connections::Connection;
use crate::http::context::Door;
use crate::http::limits::overloaded;
use crate::http::params::Params;
use crate::http::problem::Problem;

/// Where commands are sent.
pub(super) const COMMANDS: &str = "/v1/commands";
/// The parameter that asks what commands would do. Then nothing is appended.
pub(super) const DRY_RUN: &str = "dry_run";

/// Who sent a request that was let in.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// Their name.
    pub(super) name: PrincipalName,
    /// The hash of the token that they showed.
    token: Digest,
    /// What they may use.
    pub(super) account: Arc<Account>,
    /// Where they asked, if it was over a connection.
    pub(super) connection: Option<Connection>,
}

/// The door for a request that was let in.
#[derive(Clone)]
pub(super) struct Admitted {
    door: Door,
    /// Who sent it.
    pub(super) caller: Caller,
}

impl Deref for Admitted {
    type Target = Door;

    fn deref(&self) -> &Door {
        &self.door
    }
}

impl FromRequestParts<Door> for Admitted {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Infallible> {
        let caller = parts.extensions.get().cloned().expect("BUG: what asks for a caller stands behind `admit`");
        Ok(Self { door: door.clone(), caller })
    }
}

impl Admitted {
    /// Whether the token that was shown still opens the door to the same principal.
    pub(super) fn may_read(&self) -> bool {
        let view = self.source().view();
        view.bearer(&self.caller.token).is_some_and(|(name, _)| *name == self.caller.name)
    }
}

/// Lets in whom the log knows.
pub(super) async fn admit(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    let caller = match recognize(&door, &request) {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    if caller.connection.as_ref().is_some_and(|connection| !connection.show_token()) {
        return overloaded("too many connections are at work").into_response();
    }
    let Ok(_place) = Arc::clone(&caller.account.requests).try_acquire_owned() else {
        return overloaded(&format!("too many requests of {} are being worked on", caller.name)).into_response();
    };
    request.extensions_mut().insert(caller);
    next.run(request).await
}

fn recognize(door: &Door, request: &Request) -> Result<Caller, Problem> {
    let unauthorized = |code, detail: &str| Problem::new(StatusCode::UNAUTHORIZED, code, detail).at("Authorization");
    let Some(token) = bearer(request.headers()) else {
        let problem = unauthorized("missing_token", "send `Authorization: Bearer <token>`");
        return Err(problem.challenge("Bearer"));
    };
    let view = door.source().view();
    let token = Digest::of(token);
    let Some((name, role)) = view.bearer(&token) else {
        let problem = unauthorized("invalid_token", "the token is unknown or was revoked");
        return Err(problem.challenge("Bearer error=\"invalid_token\""));
    };
    match role {
        Role::Auditor if !only_reads(request) => {
            Err(Problem::new(StatusCode::FORBIDDEN, "not_permitted", format!("{name} may read, and change nothing")))
        }
        Role::Admin | Role::Auditor => Ok(Caller {
            name: name.clone(),
            token,
            account: door.account(name),
            connection: request.extensions().get().cloned(),
        }),
    }
}

/// Whether a request can change nothing, whatever becomes of it.
fn only_reads(request: &Request) -> bool {
    match *request.method() {
        Method::GET | Method::HEAD => true,
        Method::POST if request.uri().path() == COMMANDS => {
            Params::read(request.uri().query().unwrap_or_default()).flag(DRY_RUN) == Ok(true)
        }
        _ => false,
    }
}

/// The token of a request: the scheme's case does not matter, the token's does.
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
