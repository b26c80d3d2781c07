//! A principal, as `GET /v1/principals` shows it. The hash of its token is not shown.

use schema::command::Role;
use schema::id::PrincipalName;
use schema::instant::Instant;
use schema::position::{Position, Version};
use serde::{Deserialize, Serialize};

/// A person or program that has, or had, a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
