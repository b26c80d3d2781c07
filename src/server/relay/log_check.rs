//! Checks the log beside the work: reads it again from its first event, folds it, and compares the result with the signed checkpoints,
//! the stored tree, the contents and what the relay has folded.
//!
//! The check has a connection of its own, and works for a quarter of the time. A difference ends the publishing.

use std::collections::BTreeMap;
use std::time::Duration;

use program::tasks::run_blocking;
use replay::checkpoint::Checkpoint;
use replay::log::Follower;
use replay::reverify::{Reverification, ReverifyError, ReverifyWitness, first_changed};
use schema::digest::Digest;
use schema::event::Event;
use schema::position::Position;
use store::checkpoint::StoredCheckpoint;
use store::contents::Missing;
use store::database::Error as LogError;
use store::findings::Findings;
use store::reader::{EventPage, Reader};
use store::tree::is_kept;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use crate::publish::Error as PublishError;
use crate::publish::event_stream::PublishedEvents;

/// Events that are read and folded together.
const PAGE_EVENTS: usize = 500;
/// Contents that PostgreSQL hashes for one statement: at 4 MiB each well within its time.
const CONTENTS_AT_ONCE: usize = 32;
/// The pause after a page, as a multiple of the time that the page took.
const REST: u32 = 3;
/// The same on a server that does not relay: the one that does checks the log, too.
const REST_BESIDE: u32 = 9;
/// The pause between two passes.
const PASS_PAUSE: Duration = Duration::from_secs(5);

/// A request for what the relay has folded.
pub(super) type FollowerRequest = oneshot::Sender<Follower>;

/// Why a pass over the log did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Log(LogError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("the log in PostgreSQL is not what it was, {0}. Nothing is published until this is settled")]
    Found(#[from] ReverifyError),
}

/// An event that can't be followed is a difference; a log that can't be read is not.
impl From<LogError> for Error {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Diverged(divergence) => ReverifyError::from(divergence).into(),
            LogError::Row { position, why } => ReverifyError::Row { position, why }.into(),
            LogError::Beyond { found, head } => {
                let why = format!("it was put there directly: the log ends at {head}");
                ReverifyError::Row { position: found, why }.into()
            }
            error => Self::Log(error),
        }
    }
}

/// Passes over the log from its first event.
#[derive(Clone)]
pub(crate) struct LogCheck {
    table: Reader,
    published: PublishedEvents,
    findings: Option<Findings>,
}

impl LogCheck {
    /// Opens a connection of its own when it first reads.
    pub(crate) fn new(table: &Reader, published: PublishedEvents) -> Self {
        Self { table: table.beside(), published, findings: None }
    }

    /// The same check, which writes its findings there.
    pub(crate) fn reporting_to(self, findings: Findings) -> Self {
        Self { findings: Some(findings), ..self }
    }

    /// Passes over the log again and again while `is_due`: on a server that does not relay.
    pub(crate) async fn run_while(self, is_due: impl Fn() -> bool) {
        loop {
            if is_due() {
                match self.pass(None, REST_BESIDE).await {
                    Ok(position) => metrics::log_checked(position),
                    Err(Error::Found(found)) => tracing::error!(%found, "the log in PostgreSQL was changed"),
                    Err(error) => tracing::debug!(%error, "the log could not be folded again; trying again"),
                }
            }
            sleep(PASS_PAUSE).await;
        }
    }

    /// Passes over the log again and again, up to what the relay has folded, until it finds a difference.
    pub(super) async fn run(self, asks: mpsc::Sender<FollowerRequest>) -> ReverifyError {
        loop {
            let (ask, answer) = oneshot::channel();
            if asks.send(ask).await.is_ok()
                && let Ok(live) = answer.await
            {
                match self.pass(Some(live), REST).await {
                    Ok(position) => metrics::log_checked(position),
                    Err(Error::Found(difference)) => return difference,
                    Err(error) => {
                        metrics::attempt_failed("check");
                        tracing::debug!(%error, "the log could not be folded again; trying again");
                    }
                }
            }
            sleep(PASS_PAUSE).await;
        }
    }

    /// Passes over the whole log once, at full speed; gives its head.
    pub(crate) async fn check_whole_log(&self) -> Result<Position, Error> {
        self.pass(None, 0).await
    }

    /// Folds the log from its first event to where `live` is, or to its head.
    async fn pass(&self, live: Option<Follower>, rest: u32) -> Result<Position, Error> {
        let (mut again, mut missing) = (Reverification::new(self.table.log_id()), None);
        let found = match self.fold_all(&mut again, live, rest, &mut missing).await {
            Err(Error::Found(found)) => found,
            Ok(position) => {
                self.record_finding(None);
                self.findings.iter().for_each(|findings| findings.missed(missing.clone()));
                return Ok(position);
            }
            Err(error) => return Err(error),
        };
        // The events that were published since the last agreement may tell more exactly which one was changed.
        let first = self.first_changed(again.agreed(), last_of(&found)).await;
        let found = first.ok().flatten().unwrap_or(found);
        self.record_finding(Some(found.clone()));
        Err(found.into())
    }

    fn record_finding(&self, found: Option<ReverifyError>) {
        self.findings.iter().for_each(|findings| findings.passed(found.clone()));
    }

    async fn fold_all(
        &self,
        again: &mut Reverification,
        live: Option<Follower>,
        rest: u32,
        missing: &mut Option<Missing>,
    ) -> Result<Position, Error> {
        self.table.ends_at_its_head().await?;
        let head = self.table.head().await?.position;
        let up_to = live.as_ref().map_or(head, Follower::position);
        if head < up_to {
            // With a synchronous standby the table shows later what came through the write-ahead log. If it never does, the appender
            // finds out.
            return Err(LogError::WentBack { head, folded: up_to }.into());
        }
        while again.position() < up_to {
            let began = Instant::now();
            self.fold_page(again, up_to, missing).await?;
            sleep(began.elapsed() * rest).await;
        }
        if let Some(live) = live {
            let mut compared = again.clone();
            run_blocking(move || compared.check_live(&live)).await?;
        }
        self.compare_end(again).await?;
        Ok(up_to)
    }

    /// Folds a page of events, and compares it with the signed checkpoints, the contents and the stored tree.
    async fn fold_page(
        &self,
        again: &mut Reverification,
        up_to: Position,
        missing: &mut Option<Missing>,
    ) -> Result<(), Error> {
        let events = self.page(again.position(), up_to).await?;
        let Some(last) = events.last() else {
            return Err(ReverifyError::Row { position: again.position().next(), why: "it is not there".into() }.into());
        };
        let signed = self.table.checkpoints(again.position(), last.position, PAGE_EVENTS).await?;
        let mut signed: BTreeMap<Position, StoredCheckpoint> =
            signed.into_iter().map(|kept| (kept.position, kept)).collect();
        for event in &events {
            again.advance(event)?;
            if let Some(kept) = signed.remove(&event.position) {
                again.check_root(self.open_checkpoint(&kept)?.root, ReverifyWitness::Checkpoint)?;
            }
        }
        self.compare_contents(&events, missing).await?;
        let completed = again.completed().into_iter().filter(|(node, _)| is_kept(node.level)).collect::<Vec<_>>();
        let kept = self.table.kept_nodes(completed.iter().map(|(node, _)| *node)).await?;
        for (node, hash) in completed {
            again.check_node((node, hash), kept.get(&node).copied())?;
        }
        Ok(())
    }

    /// Compares contents with their digests. A missing content may have been erased, as a law may demand, and the event proves that it
    /// was there: so it is a warning, and no difference.
    async fn compare_contents(&self, events: &[Event], missing: &mut Option<Missing>) -> Result<(), Error> {
        let named = |event: &Event| Some((event.position, event.change().ok()?.content()?.digest));
        let named: Vec<(Position, Digest)> = events.iter().filter_map(named).collect();
        for named in named.chunks(CONTENTS_AT_ONCE) {
            let digests: Vec<Digest> = named.iter().map(|(_, digest)| *digest).collect();
            let damaged = self.table.damaged(&digests).await?;
            if let Some((position, digest)) = named.iter().find(|(_, digest)| damaged.contains(digest)) {
                let why = format!("its content is not the one that {digest} names");
                return Err(ReverifyError::Row { position: *position, why }.into());
            }
            let absent = self.table.absent(&digests).await?;
            for (position, digest) in named.iter().filter(|(_, digest)| absent.contains(digest)) {
                match missing {
                    Some(first) => first.others += usize::from(first.digest != *digest),
                    None => *missing = Some(Missing { digest: *digest, position: *position, others: 0 }),
                }
            }
        }
        Ok(())
    }

    /// Compares the end of the log with its head row, and with the newest checkpoint.
    async fn compare_end(&self, again: &mut Reverification) -> Result<(), Error> {
        // The checkpoint is read first, so that it can't be ahead of a head that was read before it was signed.
        let signed = self.table.newest_checkpoint().await?;
        let head = self.table.head().await?;
        if let Some(StoredCheckpoint { position, .. }) = signed.filter(|signed| signed.position > head.position) {
            let why = format!("it is signed for, but the log ends at {}", head.position);
            return Err(ReverifyError::Row { position, why }.into());
        }
        if head.position == again.position() {
            again.check_root(head.root, ReverifyWitness::Head)?;
        }
        Ok(())
    }

    fn open_checkpoint(&self, kept: &StoredCheckpoint) -> Result<Checkpoint, ReverifyError> {
        let opened = Checkpoint::open(kept.note.as_bytes(), self.table.log_id(), self.table.public_key());
        let no_witness = |why: String| ReverifyError::NoWitness { position: kept.position, why };
        let opened = opened.map_err(|bad| no_witness(format!("the checkpoint can't be trusted: {bad}")))?;
        match opened.position == kept.position {
            true => Ok(opened),
            false => Err(no_witness(format!("the checkpoint is one of position {}", opened.position))),
        }
    }

    /// The first event after a position that differs from the one that was published.
    pub(super) async fn first_changed(&self, agreed: Position, last: Position) -> Result<Option<ReverifyError>, Error> {
        let mut after = agreed;
        loop {
            let events = match self.page(after, last).await {
                Ok(events) => events,
                // The row that can't be read is known already; those before it are compared one by one.
                Err(Error::Found(found)) if found.position() > after.next() => {
                    self.page(after, found.position().previous()).await?
                }
                Err(Error::Found(_)) => return Ok(None),
                Err(error) => return Err(error),
            };
            let Some(end) = events.last() else { return Ok(None) };
            let positions: Vec<Position> = events.iter().map(|event| event.position).collect();
            let published = self.published.at(positions).await?;
            if let Some(first) = first_changed(&events, &published) {
                return Ok(Some(first));
            }
            after = end.position;
        }
    }

    async fn page(&self, after: Position, up_to: Position) -> Result<Vec<Event>, Error> {
        let page = EventPage { after, up_to: Some(up_to), limit: PAGE_EVENTS, ..EventPage::default() };
        Ok(self.table.events(page).await?)
    }
}

/// The last position that a difference may be about.
fn last_of(difference: &ReverifyError) -> Position {
    match difference {
        ReverifyError::ChangedWithin { last, .. } => *last,
        other => other.position(),
    }
}
