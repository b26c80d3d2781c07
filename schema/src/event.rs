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
    /// Which log.
    pub log_id: LogId,
    /// Where in it.
    pub position: Position,
    /// The event's identity.
    pub event_id: EventId,
    /// The request that it belongs to.
    pub command_id: CommandId,
    /// Its place in the request, from 1.
    pub ordinal: u32,
    /// How many events the request has.
    pub count: u32,
    /// What it is about.
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
    /// When it was appended; never before the event that precedes it.
    pub at: Instant,
    /// The change as JSON text, byte for byte as it was first written.
    pub data: String,
    /// Seals all of the above: see [`crate::canonical`].
    pub leaf: Digest,
}

impl WireRecord for Event {
    const WHAT: &'static str = "event";
    // The `v` of an event is the format of its data, and each type counts its own: `Event::change` judges it.
    const NEWEST: u16 = u16::MAX;
}

impl Event {
    /// What happened, read in whatever format it was stored.
    ///
    /// # Errors
    /// If this program does not know the type or the format, or the data is damaged.
    pub fn change(&self) -> Result<Change, ChangeError> {
        Change::read(&self.event_type, self.v, &self.data)
    }

    /// The event as what something follows from.
    #[must_use]
    pub fn cause(&self) -> Cause {
        Cause { position: self.position, event_id: self.event_id, command_id: self.command_id }
    }

    /// Whether the request that the event belongs to ends with it.
    #[must_use]
    pub fn ends_request(&self) -> bool {
        self.ordinal == self.count
    }
}
