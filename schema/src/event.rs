//! An event: the envelope of a change, and one row of the log.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::change::{Change, ChangeError};
use crate::desired::Cause;
use crate::digest::Digest;
use crate::entity::{Actor, Entity};
use crate::id::{CommandId, EventId, LogId};
use crate::instant::Instant;
use crate::position::{Position, Version};
use crate::wire::WireRecord;

/// An event as the table `event` holds it, with the identity of its log. In MessagePack it is a map of these names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The format of `data`.
    pub v: u16,
    /// The id of the log.
    pub log_id: LogId,
    /// The place of the event in the log: gapless from 1.
    pub position: Position,
    /// The id of the event, derived from its request, its place in it and its time.
    pub event_id: EventId,
    /// The id of the request that the event belongs to.
    pub command_id: CommandId,
    /// The place of the event in its request, from 1.
    pub ordinal: u32,
    /// The number of events in the request.
    pub count: u32,
    /// The entity that the event is about.
    pub entity: Entity,
    /// The version of the entity with this event, from 1.
    pub version: Version,
    /// The type by its name, such as `NodeEnrolled`; it may be one that only newer programs know.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The principal, the node or the part of Headwater that caused the event.
    pub actor: Actor,
    /// The reason of the request, in words of its caller.
    pub reason: Option<String>,
    /// The time of the append; never earlier than that of the event before.
    pub at: Instant,
    /// The change as JSON text, byte for byte as it was first written.
    pub data: String,
    /// SHA-256 over all other columns: see [`crate::canonical`].
    pub leaf: Digest,
}

impl WireRecord for Event {
    const WHAT: &'static str = "event";
    // The `v` of an event is the format of its data, and each type counts its own: `Event::change` judges it.
    const NEWEST: u16 = u16::MAX;
}

impl Event {
    /// The change, read from whatever format it was stored in.
    ///
    /// # Errors
    /// If this program does not know the type or the format, or the data is damaged.
    pub fn change(&self) -> Result<Change, ChangeError> {
        Change::read(&self.event_type, self.v, &self.data)
    }

    /// The event as the cause of a record.
    #[must_use]
    pub fn cause(&self) -> Cause {
        Cause { position: self.position, event_id: self.event_id, command_id: self.command_id }
    }

    /// Whether the event is the last one of its request.
    #[must_use]
    pub fn ends_request(&self) -> bool {
        self.ordinal == self.count
    }
}
