//! Checked reads: each event matches its leaf, none is known to be wrong, and none is missing as far as the others show it.

use replay::event_error::EventError;
use replay::log::DivergenceError;
use schema::event::Event;
use schema::id::CommandId;
use schema::position::{Position, Version};

use super::database::Error;
use super::findings::{Findings, is_intact};
use super::reader::{EventPage, Reader};

impl Findings {
    /// A checked page of events.
    ///
    /// # Errors
    /// If the log can't be read, or a row is not what it was.
    pub async fn events(&self, reader: &Reader, page: EventPage) -> Result<Vec<Event>, Error> {
        let events = reader.events(page.clone()).await?;
        if page.event_type.is_none() {
            match page.entity {
                None => is_gapless(&page, &events)?,
                Some(_) => counts_up(page.after, &events)?,
            }
        }
        self.intact(events)
    }

    /// The events at these positions, in the order of the log.
    ///
    /// # Errors
    /// If the log can't be read, or a row is not what it was or not there.
    pub async fn events_at(&self, reader: &Reader, positions: &[Position]) -> Result<Vec<Event>, Error> {
        let events = reader.events_at(positions).await?;
        let is_there = |position: &&Position| events.iter().any(|event| event.position == **position);
        match positions.iter().find(|position| !is_there(position)) {
            Some(missing) => Err(not_there(*missing)),
            None => self.intact(events),
        }
    }

    /// The events of a request, in the order of the log.
    ///
    /// # Errors
    /// If the log can't be read, or a row is not what it was.
    pub async fn events_of(&self, reader: &Reader, command_id: CommandId) -> Result<Vec<Event>, Error> {
        let events = reader.events_of(command_id).await?;
        self.intact(events)
    }

    fn intact(&self, events: Vec<Event>) -> Result<Vec<Event>, Error> {
        for event in &events {
            is_intact(event)?;
            self.clear(event.position, event.position)?;
        }
        Ok(events)
    }
}

fn not_there(position: Position) -> Error {
    Error::Row { position, why: "it is not there".into() }
}

/// Whether all events of a page of the whole log are there.
fn is_gapless(page: &EventPage, events: &[Event]) -> Result<(), Error> {
    let mut next = page.after.next();
    for event in events {
        if event.position != next {
            return Err(DivergenceError { position: next, fault: EventError::Gap { found: event.position } }.into());
        }
        next = next.next();
    }
    let bytes: usize = events.iter().map(|event| event.data.len()).sum();
    let is_full = events.len() >= page.limit || page.bytes.is_some_and(|max| bytes > max);
    let is_short = !is_full && page.up_to.is_some_and(|up_to| next <= up_to);
    if is_short { Err(not_there(next)) } else { Ok(()) }
}

/// Whether no event of an entity is left out between those of a page, or before them if it is the first page.
fn counts_up(after: Position, events: &[Event]) -> Result<(), Error> {
    let mut expected = match events.first() {
        Some(first) if after > Position::ZERO => first.version,
        _ => Version::ZERO.next(),
    };
    for event in events {
        if event.version != expected {
            let fault = EventError::Version { entity: event.entity.clone(), expected, found: event.version };
            return Err(DivergenceError { position: event.position, fault }.into());
        }
        expected = expected.next();
    }
    Ok(())
}
