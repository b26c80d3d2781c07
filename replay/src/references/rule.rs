//! A rule that an event keeps or breaks.

use schema::event::Event;

use crate::event_error::EventError;

/// A rule about an event, in the words that follow "expected".
pub(super) fn holds(event: &Event, is_so: bool, why: &'static str) -> Result<(), EventError> {
    if is_so { Ok(()) } else { Err(EventError::Rule { entity: event.entity.clone(), why }) }
}
