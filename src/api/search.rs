//! The answer of `GET /v1/search`.

use alloc::string::String;
use alloc::vec::Vec;

use schema::id::Id;
use schema::position::Position;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Items of an answer unless `limit` says otherwise.
pub const FOUND_DEFAULT: usize = 20;
/// Items of an answer.
pub const FOUND_MAX: usize = 100;

/// Entities whose ids begin with a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FoundEntities {
    /// The state that was searched.
    pub position: Position,
    /// What was found: first the ids that are the text itself, then those that begin with it, the first of each kind before the second.
    pub items: Vec<FoundEntity>,
    /// Whether there are more than `limit`.
    pub more: bool,
}

/// An entity by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FoundEntity {
    /// The kind of the entity, as in `<kind>/<id>`.
    pub kind: String,
    /// Its id.
    pub id: Id,
}
