//! Rows of the log that are known to be wrong, so that they are not shown as true.
//!
//! If a row was changed without its leaf, reading the row detects it. If the leaf was changed too, only the tree over all leaves shows
//! it: the repeated check of the whole log detects it, and records here what it found until a pass finds nothing.

use replay::event_error::EventError;
use replay::log::DivergenceError;
use replay::reverify::ReverifyError;
use schema::event::Event;
use schema::instant::Instant;
use schema::position::Position;
use tokio::sync::watch;

use super::contents::Missing;
use super::database::Error;
use super::reader::Reader;
use super::snapshots::Snapshots;

/// The findings of the last pass over the log. Cheap to clone; all clones share them.
#[derive(Clone, Debug)]
pub struct Findings {
    found: watch::Sender<Option<ReverifyError>>,
    missing: watch::Sender<Option<Missing>>,
    snapshots: Snapshots,
}

impl Findings {
    pub(crate) fn of(snapshots: Snapshots) -> Self {
        Self { found: watch::Sender::default(), missing: watch::Sender::default(), snapshots }
    }

    /// Records the result of a pass over the log.
    pub fn passed(&self, found: Option<ReverifyError>) {
        if found.is_some() {
            // Those states may have been folded from rows that are now known to be wrong.
            self.snapshots.forget_answers();
        }
        self.found.send_if_modified(|before| std::mem::replace(before, found.clone()) != found);
    }

    /// Records the content that a whole pass missed, or none.
    pub fn missed(&self, missing: Option<Missing>) {
        self.missing.send_if_modified(|before| std::mem::replace(before, missing.clone()) != missing);
    }

    /// The content that the last pass missed.
    #[must_use]
    pub fn missing(&self) -> Option<Missing> {
        self.missing.borrow().clone()
    }

    /// The difference that the last pass found.
    #[must_use]
    pub fn current(&self) -> Option<ReverifyError> {
        self.found.borrow().clone()
    }

    /// An error if a row from one position to another is known to be wrong.
    pub(crate) fn clear(&self, first: Position, last: Position) -> Result<(), Error> {
        let found = self.found.borrow();
        match found.as_ref().filter(|found| found.rows().is_some_and(|(from, to)| from <= last && first <= to)) {
            Some(found) => Err(Error::Found(found.clone())),
            None => Ok(()),
        }
    }
}

impl Reader {
    /// The last position at or before a time; 0 if there is none. The two events around it are checked against their leaves, so a changed
    /// row can't mislead the search undetected.
    ///
    /// # Errors
    /// If the log can't be read, or a row is not what it was.
    pub(crate) async fn position_at(&self, at: Instant) -> Result<Position, Error> {
        let position = self.search(at).await?;
        let next = position.next();
        for event in self.events_at(&[position, next]).await? {
            is_intact(&event)?;
            let (is_before, why) = (event.at <= at, "its time is not between those of the events beside it");
            if is_before != (event.position == position) {
                return Err(Error::Row { position: event.position, why: why.into() });
            }
        }
        Ok(position)
    }

    /// Where the request ends that the event at `position` belongs to.
    ///
    /// # Errors
    /// If the log can't be read, or the row is not what it was.
    pub(crate) async fn request_end(&self, position: Position) -> Result<Position, Error> {
        let Some(event) = self.events_at(&[position]).await?.pop() else { return Ok(position) };
        is_intact(&event)?;
        Ok((position.get() + u64::from(event.count.saturating_sub(event.ordinal))).into())
    }
}

/// Whether an event is what its leaf seals.
pub(super) fn is_intact(event: &Event) -> Result<(), Error> {
    match event.is_intact() {
        true => Ok(()),
        false => Err(DivergenceError { position: event.position, fault: EventError::Unsealed }.into()),
    }
}
