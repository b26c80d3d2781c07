//! Errors of a single event, by itself or in its place in the log.
//!
//! Each error has the values that explain it. The position is absent on purpose: the reader of the log adds it.

use alloc::string::String;

use schema::change::ChangeError;
use schema::entity::{Actor, Entity};
use schema::id::LogId;
use schema::instant::Instant;
use schema::position::{Position, Version};

/// An event that is not what the log before it requires.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The event belongs to another log.
    #[error("the event belongs to log {found}, not to {expected}")]
    OtherLog {
        /// The log that is followed.
        expected: LogId,
        /// The log of the event.
        found: LogId,
    },
    /// An event is missing or repeated.
    #[error("event {found} came where this one was next")]
    Gap {
        /// The position of the event that came.
        found: Position,
    },
    /// The leaf is not the one that seals these fields.
    #[error("the event's fields are not those that its leaf seals")]
    Unsealed,
    /// Versions of an entity don't count up.
    #[error("{entity} has version {found}, {expected} was next")]
    Version {
        /// The entity of the event.
        entity: Entity,
        /// The version that was next.
        expected: Version,
        /// The version of the event.
        found: Version,
    },
    /// The event is dated before the event that precedes it.
    #[error("the event is dated {found}, before its predecessor at {before}")]
    Time {
        /// The time of the event before.
        before: Instant,
        /// The time of the event.
        found: Instant,
    },
    /// A request ends early, begins late, or holds an event of another one.
    #[error("the events of a request are not all there, one after another")]
    Torn,
    /// The type of the event does not belong to the kind of its entity.
    #[error("{event_type} can't happen to {entity}")]
    Misplaced {
        /// The type of the event.
        event_type: String,
        /// The entity of the event.
        entity: Entity,
    },
    /// A kind of actor that only newer programs know.
    #[error("{actor} is no actor that this program knows: upgrade it")]
    NewerActor {
        /// The actor of the event.
        actor: Actor,
    },
    /// This program can't read the change of the event.
    #[error(transparent)]
    Unreadable(#[from] ChangeError),
    /// The event refers to an entity that is not present.
    #[error("{entity} refers to {to}, which is not there")]
    Dangling {
        /// The entity of the event.
        entity: Entity,
        /// The entity that it refers to.
        to: Entity,
    },
    /// The event removes an entity to which others refer.
    #[error("{entity} is taken away, and {by} refers to it")]
    InUse {
        /// The entity that is removed.
        entity: Entity,
        /// One of the entities that refer to it.
        by: Entity,
    },
    /// The event does not fit what it is about: a proposal, a bundle, or the proposal that its document is said to be made of.
    #[error("{entity}: {why}")]
    Rule {
        /// The entity of the event.
        entity: Entity,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// The event names a position that was not there before it.
    #[error("{entity} names position {position}, which is not before the event")]
    NotYet {
        /// The entity of the event.
        entity: Entity,
        /// The position.
        position: Position,
    },
    /// The event is about a claim that is not the current one.
    #[error("it is about a claim on {job} that is not the current one")]
    NoClaim {
        /// The job of the claim.
        job: Entity,
    },
}
