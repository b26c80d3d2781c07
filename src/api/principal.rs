//! A principal, as `GET /v1/principals` shows it. The hash of its token is not shown.

use schema::command::Role;
use schema::id::{LogId, PrincipalName};
use schema::instant::Instant;
use schema::position::{Position, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A person or program that has, or had, a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PrincipalView {
    /// Its name, which each event that it causes carries.
    pub name: PrincipalName,
    /// What it may do.
    pub role: Role,
    /// Whether its token is refused by now.
    pub revoked: bool,
    /// How often it was changed.
    pub version: Version,
    /// The event that changed it last.
    pub position: Position,
    /// When that was.
    pub at: Instant,
}

/// The answer of `GET /v1/whoami`: whose token the request carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WhoAmI {
    /// The principal's name.
    pub name: PrincipalName,
    /// What it may do: an administrator everything, an auditor read everything and do dry runs.
    pub role: Role,
    /// The log that the server serves.
    pub log_id: LogId,
}
