//! The bytes that an event is sealed by. They are for ever: a change of one bit here breaks every proof there is.
//!
//! `leaf = SHA-256(0x00 ‖ entry)`, where `entry` is the MessagePack array `[v, log_id, position, event_id, command_id,
//! ordinal, count, entity, version, type, actor, at, SHA-256(reason), SHA-256(data)]`: ids, names and the time as text,
//! digests as `bin`, integers in their shortest form, an absent reason as the empty text. The 0x00 is the leaf prefix of
//! RFC 6962, so that the leaf is a leaf of its tree as it stands.

use alloc::string::ToString;
use alloc::vec::Vec;

use crate::digest::Digest;
use crate::event::Event;

/// RFC 6962's prefix of a leaf.
const LEAF_PREFIX: u8 = 0x00;

/// The canonical entry of an event, without its leaf.
#[must_use]
pub fn entry(event: &Event) -> Vec<u8> {
    let fields = (
        event.v,
        event.log_id,
        event.position,
        event.event_id,
        event.command_id,
        event.ordinal,
        event.count,
        &event.entity,
        event.version,
        &event.event_type,
        &event.actor,
        event.at.to_string(),
        Digest::of(event.reason.as_deref().unwrap_or_default().as_bytes()),
        Digest::of(event.data.as_bytes()),
    );
    rmp_serde::to_vec(&fields).expect("BUG: a tuple of numbers, text and digests has no failing serializer")
}

/// The leaf that seals an event.
#[must_use]
pub fn leaf(event: &Event) -> Digest {
    Digest::of_parts([[LEAF_PREFIX].as_slice(), &entry(event)])
}

impl Event {
    /// The event with the leaf that seals it.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        self.leaf = leaf(&self);
        self
    }

    /// Whether the leaf is the one that seals these fields.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.leaf == leaf(self)
    }
}
