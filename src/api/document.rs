//! Documents and their versions.

use alloc::string::String;

use schema::change::DocumentPut;
use schema::entity::Actor;
use schema::id::{BundleId, CommandId, DocumentId, RolloutId};
use schema::instant::Instant;
use schema::position::{Position, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A document without its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DocumentView {
    /// The document's id.
    pub id: DocumentId,
    /// What it is.
    #[serde(flatten)]
    pub put: DocumentPut,
    /// The bundle that it belongs to; null if it belongs to none. Older servers do not say.
    #[serde(default)]
    pub bundle: Option<BundleId>,
    /// The open rollout that changes it; null if none does, or older servers.
    #[serde(default)]
    pub rollout: Option<RolloutId>,
    /// How often it was put, removed, or staged in a rollout.
    pub version: Version,
    /// The event that put or staged it.
    pub position: Position,
    /// When that was.
    pub at: Instant,
}

/// A version of a document: the event that made it, and what the document was from then on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DocumentVersion {
    /// The version, from 1.
    pub version: Version,
    /// The event that made it.
    pub position: Position,
    /// The event's type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// When that was.
    pub at: Instant,
    /// Who caused it.
    pub actor: Actor,
    /// Why, in their words.
    pub reason: Option<String>,
    /// The request that the event belongs to.
    pub command_id: CommandId,
    /// What the document was; missing in the version that removed it.
    #[serde(flatten)]
    pub put: Option<DocumentPut>,
}
