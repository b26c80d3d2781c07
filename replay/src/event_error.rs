//! Errors of a single event, by itself or in its place in the log.
//!
//! Each error has the values that explain it. The position is absent on purpose: the reader of the log adds it.

use alloc::string::String;

use schema::change::ChangeError;
use schema::entity::Entity;
use schema::id::LogId;
use schema::instant::Instant;
use schema::position::{Position, Version};

/// An event that is not what the log before it requires.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// It belongs to another log.
    #[error("the event belongs to log {found}, not to {expected}")]
    OtherLog {
        /// The log that is followed.
        expected: LogId,
        /// The event's.
        found: LogId,
    },
    /// An event is missing or repeated.
    #[error("event {found} came where this one was next")]
    Gap {
        /// The event that came.
        found: Position,
    },
    /// The leaf is not the one that seals these fields.
    #[error("the event's fields are not those that its leaf seals")]
    Unsealed,
    /// Versions of an entity don't count up.
    #[error("{entity} has version {found}, {expected} was next")]
    Version {
        /// Which entity.
        entity: Entity,
        /// The version that was next.
        expected: Version,
        /// The event's.
        found: Version,
    },
    /// Time ran backwards.
    #[error("the event is dated {found}, before its predecessor at {before}")]
    Time {
        /// The predecessor's.
        before: Instant,
        /// The event's.
        found: Instant,
    },
    /// A request ends early, begins late, or holds an event of another one.
    #[error("the events of a request are not all there, one after another")]
    Torn,
    /// Such a thing can't happen to such an entity.
    #[error("{event_type} can't happen to {entity}")]
    Misplaced {
        /// What happened.
        event_type: String,
        /// To what.
        entity: Entity,
    },
    /// The change can't be understood.
    #[error(transparent)]
    Unreadable(#[from] ChangeError),
    /// It refers to what is not there.
    #[error("{entity} refers to {to}, which is not there")]
    Dangling {
        /// What refers.
        entity: Entity,
        /// To what.
        to: Entity,
    },
    /// It takes away what others refer to.
    #[error("{entity} is taken away, and {by} refers to it")]
    InUse {
        /// What is taken away.
        entity: Entity,
        /// One of those who refer to it.
        by: Entity,
    },
    /// It is about a claim that is not the current one.
    #[error("it is about a claim on {job} that is not the current one")]
    NoClaim {
        /// On which job.
        job: Entity,
    },
}
