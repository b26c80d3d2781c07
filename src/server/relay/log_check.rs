//! The running system checks itself: it reads the log again from its first event, beside its work, and holds what it comes
//! to against all that was kept and folded before.
//!
//! It has a connection of its own, and works for a quarter of the time. What it finds ends the publishing.

use std::collections::BTreeMap;
use std::time::Duration;

use replay::again::{Again, Difference, Witness, first_changed};
use replay::checkpoint::Checkpoint;
use replay::log::Follower;
use schema::change::Change;
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
/// How much longer it rests after a page than it worked on it.
const REST: u32 = 3;
/// The same for a server that does not relay: another one does, and reads the log again as well.
const REST_BESIDE: u32 = 9;
/// The pause between two passes.
const PASS_PAUSE: Duration = Duration::from_secs(5);

/// Asks for what was folded so far.
pub(super) type FollowerRequest = oneshot::Sender<Follower>;

/// Why a pass did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Log(LogError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("the log in PostgreSQL is not what it was, {0}. Nothing is published until this is settled")]
    Found(#[from] Difference),
}

/// What can't be followed is a finding; what can't be reached is not.
impl From<LogError> for Error {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Diverged(divergence) => Difference::from(divergence).into(),
            LogError::Row { position, why } => Difference::Row { position, why }.into(),
            LogError::Beyond { found, head } => {
                let why = format!("it was put there directly: the log ends at {head}");
                Difference::Row { position: found, why }.into()
            }
            error => Self::Log(error),
        }
    }
}

/// Reads the log again.
#[derive(Clone)]
pub(crate) struct LogCheck {
    table: Reader,
    published: PublishedEvents,
    findings: Option<Findings>,
}

impl LogCheck {
    /// Over a connection of its own.
    pub(crate) fn new(table: &Reader, published: PublishedEvents) -> Self {
        Self { table: table.beside(), published, findings: None }
    }

    /// The same check, which lets it be known what it finds.
    pub(crate) fn reporting_to(self, findings: Findings) -> Self {
        Self { findings: Some(findings), ..self }
    }

    /// Passes over the log whenever `is_due`, for ever: for a server that does not relay, so that it finds out for itself.
    pub(crate) async fn watch(self, is_due: impl Fn() -> bool) {
        loop {
            if is_due() {
                match self.pass(None, REST_BESIDE).await {
                    Ok(position) => metrics::checked(position),
                    Err(Error::Found(found)) => tracing::error!(%found, "the log in PostgreSQL is not what it was"),
                    Err(error) => tracing::debug!(%error, "the log could not be folded again; trying again"),
                }
            }
            sleep(PASS_PAUSE).await;
        }
    }

    /// Passes over the log again and again, beside what is folded, until something is found.
    pub(super) async fn run(self, asks: mpsc::Sender<FollowerRequest>) -> Difference {
        loop {
            let (ask, answer) = oneshot::channel();
            if asks.send(ask).await.is_ok()
                && let Ok(live) = answer.await
            {
                match self.pass(Some(live), REST).await {
                    Ok(position) => metrics::checked(position),
                    Err(Error::Found(finding)) => return finding,
                    Err(error) => {
                        metrics::failed("check");
                        tracing::debug!(%error, "the log could not be folded again; trying again");
                    }
                }
            }
            sleep(PASS_PAUSE).await;
        }
    }

    /// Folds the log from its first event to where `live` is, or to its head at full speed.
    pub(crate) async fn whole(&self) -> Result<Position, Error> {
        self.pass(None, 0).await
    }

    async fn pass(&self, live: Option<Follower>, rest: u32) -> Result<Position, Error> {
        let (mut again, mut missing) = (Again::new(self.table.log_id()), None);
        let found = match self.fold_all(&mut again, live, rest, &mut missing).await {
            Err(Error::Found(found)) => found,
            Ok(position) => {
                self.tell(None);
                self.findings.iter().for_each(|findings| findings.missed(missing.clone()));
                return Ok(position);
            }
            Err(error) => return Err(error),
        };
        // What was published since the last agreement may tell more exactly which event it is.
        let first = self.first_changed(again.agreed(), last_of(&found)).await;
        let found = first.ok().flatten().unwrap_or(found);
        self.tell(Some(found.clone()));
        Err(found.into())
    }

    fn tell(&self, found: Option<Difference>) {
        self.findings.iter().for_each(|findings| findings.passed(found.clone()));
    }

    async fn fold_all(
        &self,
        again: &mut Again,
        live: Option<Follower>,
        rest: u32,
        missing: &mut Option<Missing>,
    ) -> Result<Position, Error> {
        self.table.ends_at_its_head().await?;
        let head = self.table.head().await?.position;
        let up_to = live.as_ref().map_or(head, Follower::position);
        if head < up_to {
            // With a synchronous standby the table shows later what came through the write-ahead log. And if it never does, whoever
            // appends finds out.
            return Err(LogError::WentBack { head, folded: up_to }.into());
        }
        while again.position() < up_to {
            let began = Instant::now();
            self.fold_page(again, up_to, missing).await?;
            sleep(began.elapsed() * rest).await;
        }
        if let Some(live) = live {
            let mut held = again.clone();
            let holding = tokio::task::spawn_blocking(move || held.hold_live(&live));
            holding.await.unwrap_or_else(|ended| std::panic::resume_unwind(ended.into_panic()))?;
        }
        self.hold_end(again).await?;
        Ok(up_to)
    }

    /// Folds a page of events, and holds it against what was signed and what is kept of the tree.
    async fn fold_page(&self, again: &mut Again, up_to: Position, missing: &mut Option<Missing>) -> Result<(), Error> {
        let events = self.page(again.position(), up_to).await?;
        let Some(last) = events.last() else {
            return Err(Difference::Row { position: again.position().next(), why: "it is not there".into() }.into());
        };
        let signed = self.table.checkpoints(again.position(), last.position, PAGE_EVENTS).await?;
        let mut signed: BTreeMap<Position, StoredCheckpoint> =
            signed.into_iter().map(|kept| (kept.position, kept)).collect();
        for event in &events {
            again.advance(event)?;
            if let Some(kept) = signed.remove(&event.position) {
                again.hold_root(self.opened(&kept)?.root, Witness::Checkpoint)?;
            }
        }
        self.hold_contents(&events, missing).await?;
        let completed = again.completed().into_iter().filter(|(node, _)| is_kept(node.level)).collect::<Vec<_>>();
        let kept = self.table.kept_nodes(completed.iter().map(|(node, _)| *node)).await?;
        for (node, hash) in completed {
            again.hold_node((node, hash), kept.get(&node).copied())?;
        }
        Ok(())
    }

    /// Holds content against its name. What is not there may have been erased, as a law may demand; the event proves that it
    /// was. So it is told, and ends nothing.
    async fn hold_contents(&self, events: &[Event], missing: &mut Option<Missing>) -> Result<(), Error> {
        let named = |event: &Event| match event.change() {
            Ok(Change::DocumentPut(put)) => Some((event.position, put.digest)),
            _ => None,
        };
        let named: Vec<(Position, Digest)> = events.iter().filter_map(named).collect();
        for named in named.chunks(CONTENTS_AT_ONCE) {
            let digests: Vec<Digest> = named.iter().map(|(_, digest)| *digest).collect();
            let damaged = self.table.damaged(&digests).await?;
            if let Some((position, digest)) = named.iter().find(|(_, digest)| damaged.contains(digest)) {
                let why = format!("its content is not the one that {digest} names");
                return Err(Difference::Row { position: *position, why }.into());
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

    /// Holds the end of the log against its head, and against the last that was signed.
    async fn hold_end(&self, again: &mut Again) -> Result<(), Error> {
        // What is read first is never ahead of what is read after it.
        let signed = self.table.newest_checkpoint().await?;
        let head = self.table.head().await?;
        if let Some(StoredCheckpoint { position, .. }) = signed.filter(|signed| signed.position > head.position) {
            let why = format!("it is signed for, but the log ends at {}", head.position);
            return Err(Difference::Row { position, why }.into());
        }
        if head.position == again.position() {
            again.hold_root(head.root, Witness::Head)?;
        }
        Ok(())
    }

    fn opened(&self, kept: &StoredCheckpoint) -> Result<Checkpoint, Difference> {
        let opened = Checkpoint::open(kept.note.as_bytes(), self.table.log_id(), self.table.public_key());
        let no_witness = |why: String| Difference::NoWitness { position: kept.position, why };
        let opened = opened.map_err(|bad| no_witness(format!("the checkpoint can't be trusted: {bad}")))?;
        match opened.position == kept.position {
            true => Ok(opened),
            false => Err(no_witness(format!("the checkpoint is one of position {}", opened.position))),
        }
    }

    /// The first event after a position that is not the one that was published.
    pub(super) async fn first_changed(&self, agreed: Position, last: Position) -> Result<Option<Difference>, Error> {
        let mut after = agreed;
        loop {
            let events = match self.page(after, last).await {
                Ok(events) => events,
                // A row that can't be read is named already, and what stands before it one by one.
                Err(Error::Found(found)) if found.position() > after.next() => {
                    self.page(after, Position::from(found.position().get() - 1)).await?
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

/// The last position that a finding may be about.
fn last_of(finding: &Difference) -> Position {
    match finding {
        Difference::ChangedWithin { last, .. } => *last,
        other => other.position(),
    }
}
