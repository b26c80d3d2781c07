//! The finding of an audit: the first thing that is wrong, and its position.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;

use schema::canonical;
use schema::digest::Digest;
use schema::event::Event;
use schema::position::Position;

use crate::event_error::EventError;
use crate::file::ExportError;

/// The first difference between a log and what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The first position that is wrong, or that can't be shown to be right.
    pub position: Position,
    /// The stable code.
    pub code: &'static str,
    /// The subject of the finding, in words.
    pub what: String,
    /// The value that was expected.
    pub expected: String,
    /// The value that was found.
    pub found: String,
}

impl Finding {
    /// A finding at a position.
    #[must_use]
    pub fn new(
        position: Position,
        code: &'static str,
        what: impl fmt::Display,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Self {
        let (what, expected, found) = (what.to_string(), expected.to_string(), found.to_string());
        Self { position, code, what, expected, found }
    }

    /// The file itself is damaged, before this position.
    #[must_use]
    pub fn damage(position: Position, damage: &ExportError) -> Self {
        let (code, expected, found) = match damage {
            ExportError::NoExport => ("no_export", "the magic of an export".into(), "other bytes".into()),
            ExportError::Newer { found } => {
                ("newer_format", format!("format {} or older", crate::file::FORMAT), format!("{found}"))
            }
            ExportError::Cut { .. } => ("cut", "more bytes".into(), "the end of the file".into()),
            ExportError::Kind { found } => ("unknown_block", "a kind from 1 to 5".into(), format!("{found}")),
            ExportError::Order { expected, found } => ("block_order", (*expected).to_string(), (*found).to_string()),
            ExportError::TooLarge { bytes, limit } => {
                ("block_size", format!("at most {limit} bytes"), format!("{bytes}"))
            }
            ExportError::Packed { why } => ("unpacking", "a zlib stream of that length".into(), (*why).to_string()),
            ExportError::Shape { what, why } => ("block_shape", (*what).to_string(), why.clone()),
        };
        Self::new(position, code, damage, expected, found)
    }

    /// An event is not what the log before it requires.
    #[must_use]
    pub fn fault(position: Position, event: &Event, fault: &EventError) -> Self {
        let (code, expected, found) = match fault {
            EventError::OtherLog { expected, found } => ("other_log", expected.to_string(), found.to_string()),
            EventError::Gap { found } => ("gap", position.to_string(), found.to_string()),
            EventError::Unsealed => ("leaf", canonical::leaf(event).to_string(), event.leaf.to_string()),
            EventError::Version { expected, found, .. } => ("version", expected.to_string(), found.to_string()),
            EventError::Time { before, found } => ("time", format!("{before} or later"), found.to_string()),
            EventError::Torn => {
                let found = format!("{} of {} of {}", event.ordinal, event.count, event.command_id);
                ("torn_request", "the next event of its request".into(), found)
            }
            EventError::Misplaced { event_type, entity } => {
                ("misplaced", format!("an entity that {event_type} can happen to"), entity.to_string())
            }
            EventError::NewerActor { actor } => ("unreadable", "an actor that is known".into(), actor.to_string()),
            EventError::Unreadable(why) => ("unreadable", "a change that can be folded".into(), why.to_string()),
            EventError::Dangling { to, .. } => ("reference", format!("{to} to be there"), "it is not".into()),
            EventError::InUse { by, .. } => ("reference", "nobody to refer to it".into(), by.to_string()),
            EventError::NotYet { position: named, .. } => {
                ("reference", format!("a position before {position}"), named.to_string())
            }
            EventError::Rule { why, .. } => ("reference", (*why).to_string(), "something else".into()),
            EventError::NoClaim { job } => {
                ("reference", format!("the current claim on {job}"), "another, or none".into())
            }
        };
        Self::new(position, code, fault, expected, found)
    }

    /// The tree of so many events has another root than was signed or said.
    #[must_use]
    pub fn root(since: Position, size: Position, expected: Digest, found: Digest) -> Self {
        let what = format!(
            "the events up to {size} are not those that were signed: the first that differs is {since} or later"
        );
        Self::new(since, "root", what, expected, found)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, what, expected, found, .. } = self;
        write!(f, "at position {position}: {what}\n  expected: {expected}\n  found:    {found}")
    }
}
