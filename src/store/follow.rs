//! The log in PostgreSQL, followed: while one page of it is folded, the next ones are read and opened on other threads.
//!
//! Always: events are folded one by one and in order, so that the first position that is wrong is the one that is named,
//! however far others have read. What was read ahead is bounded by a few pages.

use replay::fault::Fault;
use replay::log::{Follower, Opened};
use schema::event::Event;
use schema::id::LogId;
use schema::position::Position;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::task::AbortOnDropHandle;

use super::copied::{Measure, Page};
use super::database::Error;
use super::kept::Snapshots;
use super::reader::Reader;

/// Pages that wait, opened or being opened, beside the one that is read and the one that is folded.
const WAITING: usize = 3;

/// Pages of the log that are being read ahead. Dropping it ends the reading.
struct Ahead {
    pages: mpsc::Receiver<Result<Opening, Error>>,
    _reading: AbortOnDropHandle<()>,
}

/// A page whose events are being opened.
type Opening = JoinHandle<Vec<Result<Opened, Unfit>>>;

/// An event that can't be right wherever it stands.
enum Unfit {
    /// Its seal is broken, or its change can't be read.
    Event(Box<(Event, Fault)>),
    /// Its row is none of an event.
    Row(Error),
}

impl Unfit {
    /// What it is as the next event. Its place in the log says more than what is wrong with it.
    fn named(self, follower: &Follower) -> Error {
        match self {
            Self::Event(unfit) => follower.refuse(&unfit.0, unfit.1).into(),
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

    /// As [`Reader::follow`], and keeps states on the way.
    pub(crate) async fn follow_keeping(
        &self,
        follower: &mut Follower,
        up_to: Position,
        snapshots: Option<&Snapshots>,
    ) -> Result<(), Error> {
        if follower.position() >= up_to {
            return Ok(());
        }
        let mut ahead = Ahead::begin(self.clone(), follower.position(), up_to);
        while let Some(page) = ahead.next().await? {
            for event in page {
                let opened = event.map_err(|unfit| unfit.named(follower))?;
                follower.take(&opened)?;
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

impl Ahead {
    fn begin(reader: Reader, after: Position, up_to: Position) -> Self {
        let (sender, pages) = mpsc::channel(WAITING);
        let reading = tokio::spawn(async move {
            if let Err(error) = read(&reader, after, up_to, &sender).await {
                // Whoever folds comes to it once what was read before is folded.
                let _nobody_waits = sender.send(Err(error)).await;
            }
        });
        Self { pages, _reading: AbortOnDropHandle::new(reading) }
    }

    async fn next(&mut self) -> Result<Option<Vec<Result<Opened, Unfit>>>, Error> {
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
    let mut measure = Measure::default();
    while after < up_to {
        let page = reader.copied(after, up_to, measure).await?;
        (after, measure) = page.end()?;
        let log_id = reader.log_id();
        if pages.send(Ok(spawn_blocking(move || open(log_id, &page)))).await.is_err() {
            break;
        }
    }
    Ok(())
}

fn open(log_id: LogId, page: &Page) -> Vec<Result<Opened, Unfit>> {
    let opened = |event: Result<Event, Error>| Opened::new(event.map_err(Unfit::Row)?).map_err(Unfit::Event);
    page.events(log_id).map(opened).collect()
}
