//! The canonical bytes of an event, from which its leaf is computed. They never change: one other bit would break every
//! existing proof.
//!
//! `leaf = SHA-256(0x00 ‖ entry)`, where `entry` is the MessagePack array `[v, log_id, position, event_id, command_id,
//! ordinal, count, entity, version, type, actor, at, SHA-256(reason), SHA-256(data)]`: ids, names and the time as text,
//! digests as `bin`, integers in their shortest form, an absent reason as the empty text. The 0x00 is the leaf prefix of
//! RFC 6962, so that the leaf is a leaf of its tree as it stands.

use alloc::string::ToString as _;
use alloc::vec::Vec;

use uuid::Uuid;

use crate::digest::Digest;
use crate::event::Event;

/// RFC 6962's prefix of a leaf.
const LEAF_PREFIX: u8 = 0x00;
/// A capacity that suffices for most entries: numbers, ids, a time, digests, and names of common length.
const ENTRY_BYTES: usize = 384;

/// The canonical entry of an event, without its leaf.
///
/// Written by hand and not through serde: every event is encoded here each time that a log is verified.
#[must_use]
pub fn entry(event: &Event) -> Vec<u8> {
    let mut entry = Entry(Vec::with_capacity(ENTRY_BYTES));
    entry.0.push(ARRAY_OF_14);
    entry.number(event.v.into());
    entry.uuid(event.log_id.uuid());
    entry.number(event.position.get());
    entry.uuid(event.event_id.uuid());
    entry.uuid(event.command_id.uuid());
    entry.number(event.ordinal.into());
    entry.number(event.count.into());
    entry.text(&[event.entity.kind.name(), "/", event.entity.id.as_str()]);
    entry.number(event.version.get());
    entry.text(&[&event.event_type]);
    entry.text(&event.actor.parts());
    match event.at.digits() {
        Some(digits) => entry.bytes_of_text(&digits),
        None => entry.text(&[&event.at.to_string()]),
    }
    let reason = event.reason.as_deref().filter(|reason| !reason.is_empty());
    entry.digest(&reason.map_or(Digest::OF_NOTHING, |reason| Digest::of(reason.as_bytes())));
    entry.digest(&Digest::of(event.data.as_bytes()));
    entry.0
}

/// MessagePack's array of 14 items.
const ARRAY_OF_14: u8 = 0x9e;

/// MessagePack in its shortest form.
struct Entry(Vec<u8>);

impl Entry {
    fn number(&mut self, number: u64) {
        let [_, _, _, _, b4, b5, b6, b7] = number.to_be_bytes();
        match number {
            0..=0x7f => self.0.push(b7),
            0x80..=0xff => self.0.extend_from_slice(&[0xcc, b7]),
            0x100..=0xffff => self.0.extend_from_slice(&[0xcd, b6, b7]),
            0x1_0000..=0xffff_ffff => self.0.extend_from_slice(&[0xce, b4, b5, b6, b7]),
            _ => {
                self.0.push(0xcf);
                self.0.extend_from_slice(&number.to_be_bytes());
            }
        }
    }

    fn text(&mut self, parts: &[&str]) {
        self.length_of_text(parts.iter().map(|part| part.len()).sum());
        parts.iter().for_each(|part| self.0.extend_from_slice(part.as_bytes()));
    }

    fn bytes_of_text(&mut self, text: &[u8]) {
        self.length_of_text(text.len());
        self.0.extend_from_slice(text);
    }

    fn length_of_text(&mut self, length: usize) {
        let [.., b4, b5, b6, b7] = (length as u64).to_be_bytes();
        match length {
            0..=31 => self.0.push(0xa0 | b7),
            32..=0xff => self.0.extend_from_slice(&[0xd9, b7]),
            0x100..=0xffff => self.0.extend_from_slice(&[0xda, b6, b7]),
            _ => self.0.extend_from_slice(&[0xdb, b4, b5, b6, b7]),
        }
    }

    fn uuid(&mut self, uuid: Uuid) {
        let mut text = Uuid::encode_buffer();
        self.text(&[uuid.hyphenated().encode_lower(&mut text)]);
    }

    fn digest(&mut self, digest: &Digest) {
        self.0.extend_from_slice(&[0xc4, 32]);
        self.0.extend_from_slice(digest.as_bytes());
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    /// The entry as the crate for MessagePack writes it.
    fn reference(event: &Event) -> Vec<u8> {
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
        rmp_serde::to_vec(&fields).expect("a tuple")
    }

    #[test]
    fn an_entry_is_messagepack_in_its_shortest_form_at_every_length() {
        let uuid = Uuid::from_u128(0x0197_f3a0_0000_7000_8000_0000_0000_00a1);
        let mut event = Event {
            v: 1,
            log_id: uuid.into(),
            position: 1.into(),
            event_id: uuid.into(),
            command_id: uuid.into(),
            ordinal: 1,
            count: 1,
            entity: "node/n".parse().expect("an entity"),
            version: 1.into(),
            event_type: String::new(),
            actor: "ann".parse().expect("an actor"),
            reason: None,
            at: crate::instant::Instant::from_unix_micros(1_700_000_000_000_001),
            data: "{}".into(),
            leaf: Digest::of(b""),
        };
        for shift in 0..64 {
            for number in [1_u64 << shift, (1 << shift) - 1, u64::MAX >> shift] {
                event.position = number.into();
                event.ordinal = u32::try_from(number).unwrap_or(u32::MAX);
                event.v = u16::try_from(number).unwrap_or(u16::MAX);
                assert_eq!(entry(&event), reference(&event), "{number}");
            }
        }
        for length in [0, 31, 32, 255, 256, 65_535, 65_536] {
            event.event_type = "x".repeat(length);
            assert_eq!(entry(&event), reference(&event), "{length}");
        }
        for actor in ["ann", "node/n-1", "system/install", "system/reconciler"] {
            event.actor = actor.parse().expect("an actor");
            assert_eq!(entry(&event), reference(&event), "{actor}");
        }
        for reason in [Some(""), Some("a reason"), None] {
            event.reason = reason.map(Into::into);
            assert_eq!(entry(&event), reference(&event), "{reason:?}");
        }
        for micros in [i64::MIN, -62_167_219_200_000_001, -62_167_219_200_000_000, -1, 0, i64::MAX] {
            event.at = crate::instant::Instant::from_unix_micros(micros);
            assert_eq!(entry(&event), reference(&event), "{micros}");
        }
    }
}
