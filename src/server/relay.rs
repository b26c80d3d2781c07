//! The relay: from the write-ahead log, through the projections, into NATS.
//!
//! Holding the slot, it first makes NATS level with the log: head under its lock, table folded up to it, blobs, records
//! and events repaired to it. Then it follows the write-ahead log, skipping what it has. Whenever anything is not as it
//! was left — NATS was gone, a sequence is wrong, somebody else wrote, an event is missing — it makes NATS level again.
//! It remembers nothing between runs: progress is what NATS holds. What is public it vouches for, at least every ten seconds.

pub(crate) mod checkpoint_signer;
mod error;
pub(crate) mod log_check;
mod status;

pub use self::status::{Phase, RelayStatus};

use std::sync::Arc;
use std::time::Duration;

use projections::fold::Touched;
use replay::log::{Divergence, Follower};
use schema::event::Event;
use schema::position::Position;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::fleet::listener::ReportListener;
use crate::publish::Error as PublishError;
use crate::publish::event_stream::PublishedEvents;
use crate::publish::foreign_writes::{self, RecordWrite};
use crate::publish::publisher::{PublishSettings, PublishSource, Publisher};
use bus::connect::Link;
use metrics;
use program::backoff::Backoff;
use program::failpoints;
use program::telemetry;
use store::database::Error as LogError;
use store::findings::Findings;
use store::reader::Reader;
use wal::Error as WalError;
use wal::slot::Slot;
use wal::tail::Batch;

use self::checkpoint_signer::CheckpointSigner;
use self::error::Error;
use self::log_check::LogCheck;

/// How often the relay looks whether somebody else wrote to NATS.
const INSPECT_EVERY: Duration = Duration::from_secs(5);
/// How soon NATS is made level again after it was: whoever goes on writing there costs no more than this.
const RESYNC_EVERY: Duration = Duration::from_millis(500);
/// How often it signs for what was published since.
const SIGN_EVERY: Duration = Duration::from_secs(5);
/// How soon a waiting relay asks for the slot again.
const STANDBY_PAUSE: Duration = Duration::from_millis(700);
/// The first pause after a failure.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How much longer it rests after it has read a log again that is not what it was, and how long at most.
const SUSPECT_REST: u32 = 3;
const SUSPECT_REST_MAX: Duration = Duration::from_secs(60);
/// Writes to the bucket of records that may wait to be looked at.
const WRITES_MAX: usize = 16_384;

/// The relay of one log.
pub struct Relay {
    slot: Slot,
    reader: Reader,
    link: Link,
    publisher: Publisher,
    signer: CheckpointSigner,
    check: LogCheck,
    /// Whether the log was found not to be what it was. Nothing is done then until it is again.
    suspect: bool,
    demand: Arc<Notify>,
    reports: ReportListener,
    follower: Follower,
    writes: mpsc::Receiver<RecordWrite>,
    status: watch::Sender<RelayStatus>,
    /// When NATS was last made level.
    resynced: Option<Instant>,
    /// How far it had followed, and where the log ended, when that was last looked at.
    awaited: (Position, Position),
}

impl Relay {
    /// A relay that has done nothing yet, and where it status.
    #[must_use]
    pub fn new(
        slot: Slot,
        reader: Reader,
        link: Link,
        settings: PublishSettings,
        source: Arc<dyn PublishSource>,
    ) -> (Self, watch::Receiver<RelayStatus>) {
        let (status, statuses) = watch::channel(RelayStatus::default());
        let (sender, writes) = mpsc::channel(WRITES_MAX);
        tokio::spawn(foreign_writes::watch(settings.jetstream.clone(), settings.prefix.clone(), sender));
        let follower = Follower::new(reader.log_id());
        let signer = CheckpointSigner::new(&settings, reader.clone());
        let check = LogCheck::new(&reader, PublishedEvents::new(settings.jetstream.clone(), settings.prefix.clone()));
        let publisher = Publisher::new(settings, source);
        let (suspect, resynced, awaited) = (false, None, Default::default());
        let (demand, reports) = (Arc::default(), ReportListener::default());
        let relay = Self {
            slot,
            reader,
            link,
            publisher,
            signer,
            check,
            suspect,
            demand,
            reports,
            follower,
            writes,
            status,
            resynced,
            awaited,
        };
        (relay, statuses)
    }

    /// The same relay, which publishes nothing of a log that lacks what these reports heard nodes prove.
    #[must_use]
    pub fn with_node_proofs(self, reports: ReportListener) -> Self {
        Self { reports, ..self }
    }

    /// The same relay, which lets it be known what it finds to be wrong with the log.
    #[must_use]
    pub fn reporting_to(self, findings: Findings) -> Self {
        Self { check: self.check.reporting_to(findings), ..self }
    }

    /// Notified, it signs for what is public by now.
    #[must_use]
    pub fn demand(&self) -> Arc<Notify> {
        Arc::clone(&self.demand)
    }

    /// Relays until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::between(PAUSE_MIN, PAUSE_MAX);
        while !stop.is_cancelled() {
            let (before, began, was_suspect) = (self.publisher.published(), Instant::now(), self.suspect);
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                ended = self.relay() => ended,
            };
            let Err(error) = ended;
            if self.publisher.published() > before {
                backoff.reset();
            }
            let pause = match &error {
                Error::Wal(WalError::SlotBusy(_)) => {
                    self.show(Phase::Standby, None);
                    STANDBY_PAUSE.mul_f64(0.5 + fastrand::f64())
                }
                error => {
                    metrics::failed("relay");
                    if let Error::Wal(WalError::Undecodable(_)) = error
                        && let Err(error) = self.slot.discard().await
                    {
                        tracing::warn!(%error, "the slot can't be dropped");
                    }
                    tracing::warn!(%error, failures = backoff.failures(), "the relay begins anew");
                    let is_suspect = error.is_about_content();
                    self.suspect |= is_suspect;
                    self.show(Phase::Starting, Some(error.to_string()));
                    // Reading all of a large log again at full speed, only to find the same, would leave little for others.
                    let still = was_suspect && is_suspect && self.resynced.is_none_or(|resynced| resynced < began);
                    let rest = if still { began.elapsed() * SUSPECT_REST } else { Duration::ZERO };
                    backoff.failed().max(rest.min(SUSPECT_REST_MAX))
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Takes the slot, and follows for as long as nothing goes wrong with it.
    async fn relay(&mut self) -> Result<std::convert::Infallible, Error> {
        let mut tail = self.slot.take(self.reader.log_id()).await?;
        tracing::info!(slot = self.slot.name(), "this server has the slot");
        failpoints::RELAY_TAKEN.reached();
        if self.suspect {
            // Also what was folded is no longer trusted.
            self.check.whole().await?;
            self.follower = Follower::new(self.reader.log_id());
            self.suspect = false;
        }
        self.resync().await?;
        let (asks, mut asked) = mpsc::channel(1);
        let mut checking = AbortOnDropHandle::new(tokio::spawn(self.check.clone().run(asks)));
        let mut ups = self.link.ups();
        ups.mark_unchanged();
        let mut inspect = tokio::time::interval(INSPECT_EVERY);
        inspect.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sign = tokio::time::interval(SIGN_EVERY);
        sign.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (done, receipt) = tokio::select! {
                batch = tail.next() => {
                    let Batch { events, receipt } = batch?;
                    self.has_proven(events.last()).await?;
                    failpoints::RELAY_RECEIVED.reached();
                    (self.relay_events(events).await?, Some(receipt))
                }
                Some(write) = self.writes.recv() => (self.expect_ours(&write), None),
                Ok(()) = ups.changed() => {
                    (Err(PublishError::Disturbed("NATS, perhaps, while it was gone".into())), None)
                }
                _ = inspect.tick() => {
                    self.has_proven(None).await?;
                    (self.nothing_is_skipped().await?.and(self.publisher.inspect().await), None)
                }
                _ = sign.tick() => (self.vouch().await?, None),
                () = self.demand.notified() => (self.vouch().await?, None),
                () = self.publisher.mend_due() => (self.publisher.mend(self.follower.position()).await, None),
                Some(ask) = asked.recv() => {
                    // Whoever asked may be gone by now.
                    let _ = ask.send(self.follower.clone());
                    continue;
                }
                found = &mut checking => {
                    let found = found.unwrap_or_else(|ended| std::panic::resume_unwind(ended.into_panic()));
                    return Err(Error::Found(found.into()));
                }
            };
            if let Err(error) = done {
                self.resync_again(error).await?;
            }
            // Whether it was published or made level: all that follows from these transactions is public.
            if let Some(receipt) = receipt {
                failpoints::RELAY_PUBLISHED.reached();
                tail.acknowledge(receipt);
                failpoints::RELAY_ACKNOWLEDGED.reached();
                metrics::acknowledged(self.publisher.published());
            }
            self.show(Phase::Following, None);
        }
    }

    /// Folds and publishes the events of whole transactions, but for those that it has already.
    async fn relay_events(&mut self, events: Vec<Event>) -> Result<Result<(), PublishError>, Divergence> {
        let known = self.follower.position();
        let new: Vec<Event> = events.into_iter().filter(|event| event.position > known).collect();
        let Some(first) = new.first() else { return Ok(Ok(())) };
        if first.position != known.next() {
            let hole = format!("the slot: event {} came after {known}", first.position);
            return Ok(Err(PublishError::Disturbed(hole)));
        }
        let mut touched = Touched::new();
        for event in &new {
            touched.append(&mut self.follower.advance(event)?);
        }
        failpoints::RELAY_FOLDED.reached();
        let published = self.publisher.publish(self.follower.configuration(), touched, &new).await;
        // What waits until the event stream is made anew is not public yet.
        if published.is_ok() && self.publisher.published() == self.follower.position() {
            metrics::published(&new);
            tell_published(&new);
        }
        Ok(published)
    }

    /// Signs for what is public.
    async fn vouch(&mut self) -> Result<Result<(), PublishError>, Error> {
        let edge = self.follower.edge();
        if edge.size() != self.publisher.published() {
            return Ok(Ok(()));
        }
        match self.signer.sign(edge).await.map_err(Error::from) {
            Ok(()) => Ok(Ok(())),
            Err(Error::Publish(error)) => Ok(Err(error)),
            Err(error) => Err(error),
        }
    }

    /// Whether the log, with `last` at its end if that is further than what was folded, has what nodes prove.
    async fn has_proven(&self, last: Option<&Event>) -> Result<(), Error> {
        let end = last.map_or(Position::ZERO, |last| last.position).max(self.follower.position());
        // Below the end nothing is looked up here: that takes a read for each batch, and whoever appends does it.
        let beyond = self.reports.furthest().filter(|(_, cause)| cause.position > end);
        Ok(checkpoint_signer::has_proven(&self.reader, beyond, end).await?)
    }

    /// Whether what is appended comes through the write-ahead log. A change that was written while the publication did not
    /// let it through is skipped without a word, and if no other follows nobody would miss it.
    async fn nothing_is_skipped(&mut self) -> Result<Result<(), PublishError>, LogError> {
        let now = (self.follower.position(), self.reader.head().await?.position);
        let before = std::mem::replace(&mut self.awaited, now);
        Ok(match before.0 == now.0 && before.1 > now.0 {
            true => Err(PublishError::Disturbed(format!("the slot: event {} did not come", now.0.next()))),
            false => Ok(()),
        })
    }

    fn expect_ours(&self, write: &RecordWrite) -> Result<(), PublishError> {
        match self.publisher.knows(&write.key, write.revision) {
            true => Ok(()),
            false => Err(PublishError::Disturbed(format!("the record of {}", write.key))),
        }
    }

    /// Makes NATS level with the log, however often it takes, while the slot is held.
    async fn resync_again(&mut self, error: PublishError) -> Result<(), Error> {
        let mut error = error;
        let mut backoff = Backoff::between(PAUSE_MIN, PAUSE_MAX);
        loop {
            if !error.is_transient() {
                return Err(error.into());
            }
            metrics::failed("publish");
            tracing::warn!(%error, "NATS is made level with the log again");
            self.show(Phase::Repairing, Some(error.to_string()));
            self.link.up().await;
            if let Some(resynced) = self.resynced {
                sleep_until(resynced + RESYNC_EVERY).await;
            }
            error = match self.resync().await {
                Ok(()) => return Ok(()),
                Err(Error::Publish(error)) => error,
                Err(error) => return Err(error),
            };
            tokio::time::sleep(backoff.failed()).await;
        }
    }

    /// Makes NATS level with the log. If it is not the log that it was, it is told where.
    async fn resync(&mut self) -> Result<(), Error> {
        use LogError::{Diverged, OtherRoot, Row};
        match self.resync_once().await {
            Err(
                error @ (Error::Log(OtherRoot { .. } | Diverged(_) | Row { .. })
                | Error::Publish(PublishError::Source(_))),
            ) => {
                self.check.whole().await?;
                Err(error)
            }
            Err(Error::Unvouched { error: error @ checkpoint_signer::Error::Rewritten { head, .. }, .. }) => {
                self.check.whole().await?;
                let first = self.check.first_changed(Position::ZERO, head).await?;
                Err(Error::Unvouched { error, first })
            }
            other => other,
        }
    }

    async fn resync_once(&mut self) -> Result<(), Error> {
        // What is wrong stays said until it is not.
        let fault = self.status.borrow().fault.clone();
        self.show(Phase::Repairing, fault);
        let head = self.reader.head_at_rest().await?;
        if head.position < self.follower.position() {
            return Err(LogError::WentBack { head: head.position, folded: self.follower.position() }.into());
        }
        self.reader.follow(&mut self.follower, head.position).await?;
        head.is_over(&self.follower)?;
        self.signer.check(self.follower.edge()).await?;
        checkpoint_signer::has_proven(&self.reader, self.reports.furthest(), head.position).await?;
        self.publisher.repair(self.follower.configuration()).await?;
        self.resynced = Some(Instant::now());
        self.show(Phase::Following, None);
        Ok(())
    }

    fn show(&self, phase: Phase, fault: Option<String>) {
        let status = RelayStatus { phase, published: self.publisher.published(), fault };
        self.status.send_if_modified(|shown| std::mem::replace(shown, status.clone()) != status);
    }
}

/// Says of each request that it is public, if anybody wants to know.
fn tell_published(events: &[Event]) {
    if tracing::enabled!(tracing::Level::DEBUG) {
        for last in events.iter().filter(|event| event.ends_request()) {
            telemetry::request(last.command_id).in_scope(|| tracing::debug!(position = %last.position, "published"));
        }
    }
}
