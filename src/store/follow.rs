//! Folding the log: while one page is folded, the next ones are read and opened on other threads.
//!
//! Always: events are folded one by one and in order, so an error names the first wrong position, however far other threads have read.
//! At most a few pages are read ahead.

use replay::event_error::EventError;
use replay::log::{Follower, OpenedEvent};
use schema::event::Event;
use schema::id::LogId;
use schema::position::Position;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::task::AbortOnDropHandle;

use super::copy_reader::{CopyPage, PageSize};
use super::database::Error;
use super::reader::Reader;
use super::snapshots::Snapshots;

/// Pages between the one that is read and the one that is folded; they are opened or being opened.
const WAITING: usize = 3;

/// Pages that are read ahead. Dropping it ends the reading.
struct ReadAhead {
    pages: mpsc::Receiver<Result<Opening, Error>>,
    _reading: AbortOnDropHandle<()>,
}

/// A page whose events are being opened.
type Opening = JoinHandle<Vec<Result<OpenedEvent, Unfit>>>;

/// An event that is wrong at any position.
enum Unfit {
    /// Its seal is broken, or its change can't be read.
    Event(Box<(Event, EventError)>),
    /// Its row is not an event.
    Row(Error),
}

impl Unfit {
    /// The error if this is the next event. A wrong place in the log says more than the fault itself.
    fn named(self, follower: &Follower) -> Error {
        match self {
            Self::Event(unfit) => follower.divergence_at(&unfit.0, unfit.1).into(),
            Self::Row(error) => error,
        }
    }
}

impl Reader {
    /// Follows the log from where `follower` stands up to `up_to`.
    ///
    /// # Errors
    /// If the log can't be read, ends before `up_to`, or is not intact.
    pub async fn follow(&self, follower: &mut Follower, up_to: Position) -> Result<(), Error> {
        self.follow_keeping(follower, up_to, None).await
    }

    /// As [`Reader::follow`], and takes snapshots on the way.
    pub(crate) async fn follow_keeping(
        &self,
        follower: &mut Follower,
        up_to: Position,
        snapshots: Option<&Snapshots>,
    ) -> Result<(), Error> {
        if follower.position() >= up_to {
            return Ok(());
        }
        let mut ahead = ReadAhead::begin(self.clone(), follower.position(), up_to);
        while let Some(page) = ahead.next().await? {
            for event in page {
                let opened = event.map_err(|unfit| unfit.named(follower))?;
                follower.advance_opened(&opened)?;
                snapshots.inspect(|snapshots| snapshots.pass(opened.event(), follower.configuration()));
            }
            if follower.position() < up_to {
                tracing::info!(position = %follower.position(), of = %up_to, "folding the log");
            }
        }
        match follower.position() {
            folded if folded < up_to => Err(Error::WentBack { head: folded, folded: up_to }),
            _ => Ok(()),
        }
    }
}

impl ReadAhead {
    fn begin(reader: Reader, after: Position, up_to: Position) -> Self {
        let (sender, pages) = mpsc::channel(WAITING);
        let reading = tokio::spawn(async move {
            if let Err(error) = read(&reader, after, up_to, &sender).await {
                // The error is received after the pages before it are folded.
                let _nobody_waits = sender.send(Err(error)).await;
            }
        });
        Self { pages, _reading: AbortOnDropHandle::new(reading) }
    }

    async fn next(&mut self) -> Result<Option<Vec<Result<OpenedEvent, Unfit>>>, Error> {
        let Some(opening) = self.pages.recv().await else { return Ok(None) };
        let opened = opening?.await;
        Ok(Some(opened.unwrap_or_else(|ended| std::panic::resume_unwind(ended.into_panic()))))
    }
}

async fn read(
    reader: &Reader,
    mut after: Position,
    up_to: Position,
    pages: &mpsc::Sender<Result<Opening, Error>>,
) -> Result<(), Error> {
    let mut measure = PageSize::default();
    while after < up_to {
        let page = reader.copy_page(after, up_to, measure).await?;
        (after, measure) = page.end()?;
        let log_id = reader.log_id();
        if pages.send(Ok(spawn_blocking(move || open(log_id, &page)))).await.is_err() {
            break;
        }
    }
    Ok(())
}

fn open(log_id: LogId, page: &CopyPage) -> Vec<Result<OpenedEvent, Unfit>> {
    let opened = |event: Result<Event, Error>| OpenedEvent::new(event.map_err(Unfit::Row)?).map_err(Unfit::Event);
    page.events(log_id).map(opened).collect()
}
