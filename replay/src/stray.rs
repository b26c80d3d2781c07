//! Whether a message on the event stream can be the next event of a log: an event that was stored and then lost from the
//! table, or a message of a foreign writer.
//!
//! Anyone who may publish to the stream can write anything, and an event's seal needs no key. The checks use the log before
//! the message: identity, position, seal, order, references, the event's id, and whether its actor may have caused it. Absent
//! on purpose: whether the request would have been decided so, because events don't contain the commands; and the time,
//! because clocks may be wrong. A message that passes may still be forged; an operator has to judge that.

use alloc::boxed::Box;
use alloc::string::{String, ToString as _};

use schema::change::ChangeError;
use schema::entity::Actor;
use schema::event::Event;
use schema::id::EventId;
use schema::wire::WireRecord as _;

use crate::event_error::EventError;
use crate::log::{DivergenceError, Follower};

/// Why a message can't be the next event of a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StrayError {
    /// The message is no event.
    #[error("{0}")]
    NoEvent(String),
    /// The event does not follow from the log before it.
    #[error(transparent)]
    Impossible(EventError),
    /// The id of the event is not the one derived from its request, place and time.
    #[error("the event's id is {found}, and {expected} follows from its request")]
    Id {
        /// The derived id.
        expected: EventId,
        /// The id of the event.
        found: EventId,
    },
    /// The actor had no right to cause the event.
    #[error("{0} may not cause it")]
    NotPermitted(Actor),
}

/// The message as the event after those that were followed, if it can be that.
///
/// # Errors
/// The reason why it can't.
pub fn next_event(log: &Follower, message: &[u8]) -> Result<Event, Box<StrayError>> {
    let event = Event::read(message).map_err(|error| StrayError::NoEvent(error.to_string()))?;
    match log.clone().advance(&event) {
        Ok(_) => {}
        // A program that is newer than this one may have appended it.
        Err(DivergenceError {
            fault:
                EventError::NewerActor { .. }
                | EventError::Unreadable(ChangeError::Newer { .. } | ChangeError::UnknownType { .. }),
            ..
        }) => {
            return Ok(event);
        }
        Err(DivergenceError { fault, .. }) => return Err(StrayError::Impossible(fault).into()),
    }
    let expected = EventId::derived(event.command_id, event.ordinal, event.at);
    if event.event_id != expected {
        return Err(StrayError::Id { expected, found: event.event_id }.into());
    }
    // Within a request the state is no longer the one that its actor was judged by.
    let may =
        event.ordinal > 1 || event.change().is_ok_and(|change| log.configuration().may_cause(&event.actor, &change));
    if may { Ok(event) } else { Err(StrayError::NotPermitted(event.actor).into()) }
}
