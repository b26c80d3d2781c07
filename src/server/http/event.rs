//! Events as pages and live streams show them.

use schema::digest::Digest;
use schema::entity::{Actor, Entity};
use schema::event::Event;
use schema::id::{CommandId, EventId, LogId};
use schema::instant::Instant;
use schema::position::{Position, Version};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// An event as it is shown. `data` is the stored JSON text, byte for byte.
#[derive(Serialize)]
pub(super) struct EventView {
    v: u16,
    log_id: LogId,
    position: Position,
    event_id: EventId,
    command_id: CommandId,
    ordinal: u32,
    count: u32,
    entity: Entity,
    version: Version,
    #[serde(rename = "type")]
    event_type: String,
    actor: Actor,
    reason: Option<String>,
    at: Instant,
    data: Box<RawValue>,
    leaf: Digest,
}

impl From<Event> for EventView {
    fn from(event: Event) -> Self {
        // PostgreSQL refuses to store text that is no JSON. If there is such text all the same, it is shown as a string.
        let data = RawValue::from_string(event.data.clone()).or_else(|_| to_raw_value(&event.data));
        Self {
            v: event.v,
            log_id: event.log_id,
            position: event.position,
            event_id: event.event_id,
            command_id: event.command_id,
            ordinal: event.ordinal,
            count: event.count,
            entity: event.entity,
            version: event.version,
            event_type: event.event_type,
            actor: event.actor,
            reason: event.reason,
            at: event.at,
            data: data.expect("BUG: text can be written as JSON"),
            leaf: event.leaf,
        }
    }
}
