//! Events, in pages, in live streams and as causes.

use alloc::boxed::Box;
use alloc::string::String;

use schema::digest::Digest;
use schema::entity::{Actor, Entity};
use schema::id::{CommandId, EventId, LogId};
use schema::instant::Instant;
use schema::position::{Position, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// An event of the log.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EventView {
    /// The format of `data`.
    pub v: u16,
    /// The log that it belongs to.
    pub log_id: LogId,
    /// Its place in the log.
    pub position: Position,
    /// Its identity.
    pub event_id: EventId,
    /// The request that it belongs to.
    pub command_id: CommandId,
    /// Its place among the events of the request, from 1.
    pub ordinal: u32,
    /// How many events the request has.
    pub count: u32,
    /// The entity that it is about.
    pub entity: Entity,
    /// The entity's version with this event.
    pub version: Version,
    /// What happened.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Who caused it.
    pub actor: Actor,
    /// Why, in their words.
    pub reason: Option<String>,
    /// When it was appended.
    pub at: Instant,
    /// What is said of it: the stored JSON, byte for byte as it stands in this answer.
    pub data: Box<RawValue>,
    /// The same as text, if the request has `data_text=true`: the leaf is computed over its bytes, which a reader that parses this
    /// answer can't have otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_text: Option<String>,
    /// The event's leaf in the log's tree, which seals all of the above.
    pub leaf: Digest,
}

/// An event without its data, as the cause of something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CausingEvent {
    /// Its place in the log.
    pub position: Position,
    /// Its identity.
    pub event_id: EventId,
    /// The request that it belongs to.
    pub command_id: CommandId,
    /// The entity that it is about.
    pub entity: Entity,
    /// The entity's version with this event.
    pub version: Version,
    /// What happened.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Who caused it.
    pub actor: Actor,
    /// When it was appended.
    pub at: Instant,
    /// Why, in the words of who caused it.
    pub reason: Option<String>,
}
