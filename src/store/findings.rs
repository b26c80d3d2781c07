//! What is known to be wrong with the rows of the log, so that nobody is shown them as true.
//!
//! A row that was changed without its leaf is found by whoever reads it. Where the leaf was changed with it, only the tree over all
//! leaves tells: the check that passes over the log again and again finds that, and says here what it found until a pass finds nothing.

use replay::again::Difference;
use replay::fault::Fault;
use replay::log::Divergence;
use schema::event::Event;
use schema::instant::Instant;
use schema::position::Position;
use tokio::sync::watch;

use super::contents::Missing;
use super::database::Error;
use super::kept::Snapshots;
use super::reader::Reader;

/// What the last pass over the log found. Cheap to clone; all clones share it.
#[derive(Clone, Debug)]
pub struct Findings {
    found: watch::Sender<Option<Difference>>,
    missing: watch::Sender<Option<Missing>>,
    snapshots: Snapshots,
}

impl Findings {
    pub(crate) fn of(snapshots: Snapshots) -> Self {
        Self { found: watch::Sender::default(), missing: watch::Sender::default(), snapshots }
    }

    /// A pass over the log found this, or nothing.
    pub fn passed(&self, found: Option<Difference>) {
        if found.is_some() {
            // They may have been folded from rows that are now known to be wrong.
            self.snapshots.forget_answers();
        }
        self.found.send_if_modified(|before| std::mem::replace(before, found.clone()) != found);
    }

    /// A pass over the log came to its end, and missed this content, or none.
    pub fn missed(&self, missing: Option<Missing>) {
        self.missing.send_if_modified(|before| std::mem::replace(before, missing.clone()) != missing);
    }

    /// What content the last pass missed.
    #[must_use]
    pub fn missing(&self) -> Option<Missing> {
        self.missing.borrow().clone()
    }

    /// What the last pass found.
    #[must_use]
    pub fn current(&self) -> Option<Difference> {
        self.found.borrow().clone()
    }

    /// Whether the rows from one position to another are not known to be wrong.
    pub(crate) fn clear(&self, first: Position, last: Position) -> Result<(), Error> {
        let found = self.found.borrow();
        match found.as_ref().filter(|found| found.rows().is_some_and(|(from, to)| from <= last && first <= to)) {
            Some(found) => Err(Error::Found(found.clone())),
            None => Ok(()),
        }
    }
}

impl Reader {
    /// The last position at or before a time; 0 if there is none. The times of the two events between which it lies are those that
    /// their leaves seal, so no changed row leads the search astray unseen.
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
        false => Err(Divergence { position: event.position, fault: Fault::Unsealed }.into()),
    }
}
