//! The relay: from the write-ahead log, through the projections, into NATS.
//!
//! One server of a log holds its replication slot and relays. The relay remembers nothing between runs: progress is what NATS holds,
//! and a transaction is acknowledged to PostgreSQL only after everything that follows from it is public.
//!
//! The relay is a machine of four states, and `RelayOutcome` says how a step ended:
//!
//! | state | shown as | what the relay does | next |
//! |---|---|---|---|
//! | `Waiting` | `starting`, `standby` | pauses, then asks for the slot | `Acquired`; slot busy or an error: `Waiting` |
//! | `Acquired` | `repairing` | reads a suspect log again from its first event, resyncs NATS | `Following`; any error: `Waiting` |
//! | `Following` | `following` | handles one `Trigger`: transactions, an inspection, a signature, a foreign write, … | published: `Following`; blocked: `Resyncing`; failed: `Waiting` |
//! | `Resyncing` | `repairing` | resyncs NATS until that succeeds; the slot stays held | `Following`; blocked: `Resyncing`; failed: `Waiting` |
//!
//! A resync folds the log up to its head, verifies that the log goes on from what was signed and from what nodes prove, and repairs
//! blobs, records and events in NATS. The slot is given up on every way into `Waiting`.

pub(crate) mod checkpoint_signer;
mod error;
pub(crate) mod log_check;
mod outcome;
mod resync;
mod session;
mod status;

pub use self::status::{Phase, RelayStatus};

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bus::connect::Link;
use program::backoff::Backoff;
use program::failpoints;
use program::telemetry;
use projections::fold::AffectedNodes;
use replay::log::Follower;
use schema::event::Event;
use schema::position::Position;
use store::findings::Findings;
use store::reader::Reader;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use wal::Error as WalError;
use wal::slot::Slot;
use wal::tail::Tail;

use crate::backend::Error as BackendError;
use crate::continuity;
use crate::fleet::listener::ReportListener;
use crate::publish::Error as PublishError;
use crate::publish::event_stream::PublishedEvents;
use crate::publish::foreign_writes::{self, RecordWrite};
use crate::publish::publisher::{PublishSettings, PublishSource, Publisher};

use self::checkpoint_signer::CheckpointSigner;
use self::error::Error;
use self::log_check::LogCheck;
use self::outcome::RelayOutcome;
use self::session::{Session, Trigger};

/// The mean pause before a standby asks for the slot again.
const STANDBY_PAUSE: Duration = Duration::from_millis(700);
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// After the whole log was read and found changed again, the relay rests this many times as long as reading took.
const SUSPECT_REST: u32 = 3;
const SUSPECT_REST_MAX: Duration = Duration::from_secs(60);
/// Writes to the bucket of records that may wait for the relay.
const WRITES_MAX: usize = 16_384;

/// The relay of one log.
pub struct Relay {
    slot: Slot,
    reader: Reader,
    link: Link,
    publisher: Publisher,
    signer: CheckpointSigner,
    check: LogCheck,
    /// The log was found changed. Nothing is published until reading it again from its first event finds it intact.
    suspect: bool,
    signature_wanted: Arc<Notify>,
    reports: ReportListener,
    follower: Follower,
    writes: mpsc::Receiver<RecordWrite>,
    status: watch::Sender<RelayStatus>,
    /// When the last resync succeeded.
    resynced: Option<Instant>,
    /// The relay's position and the head of the log at the last inspection.
    inspected: (Position, Position),
    attempt: Attempt,
    backoff: Backoff,
}

enum State {
    /// Not holding the slot, which is asked for after this pause.
    Waiting(Duration),
    Acquired(Box<Tail>),
    Following(Box<Session>),
    Resyncing(Box<Session>, Blockage),
}

/// Why NATS has to be resynced, and how often that was tried.
struct Blockage {
    error: PublishError,
    backoff: Backoff,
}

/// How things stood when the slot was last asked for.
struct Attempt {
    began: Instant,
    published: Position,
    was_suspect: bool,
}

impl Relay {
    /// A relay that has done nothing yet, and its status.
    #[must_use]
    pub fn new(
        slot: Slot,
        reader: Reader,
        link: Link,
        settings: PublishSettings,
        source: Arc<dyn PublishSource>,
    ) -> (Self, watch::Receiver<RelayStatus>) {
        let (status, shown) = watch::channel(RelayStatus::default());
        let (sender, writes) = mpsc::channel(WRITES_MAX);
        tokio::spawn(foreign_writes::watch(settings.jetstream.clone(), settings.prefix.clone(), sender));
        let published = PublishedEvents::new(settings.jetstream.clone(), settings.prefix.clone());
        let relay = Self {
            signer: CheckpointSigner::new(&settings, reader.clone()),
            check: LogCheck::new(&reader, published),
            follower: Follower::new(reader.log_id()),
            publisher: Publisher::new(settings, source),
            slot,
            reader,
            link,
            suspect: false,
            signature_wanted: Arc::default(),
            reports: ReportListener::default(),
            writes,
            status,
            resynced: None,
            inspected: Default::default(),
            attempt: Attempt { began: Instant::now(), published: Position::ZERO, was_suspect: false },
            backoff: Backoff::between(PAUSE_MIN, PAUSE_MAX),
        };
        (relay, shown)
    }

    /// The same relay, which goes on from what this process has folded already. The check beside it still folds the whole log itself.
    #[must_use]
    pub fn resuming(self, follower: Follower) -> Self {
        Self { follower, ..self }
    }

    /// The same relay, which publishes nothing of a log that lacks events that nodes prove.
    #[must_use]
    pub fn with_node_proofs(self, reports: ReportListener) -> Self {
        Self { reports, ..self }
    }

    /// The same relay, which writes down there which rows of the log it finds changed.
    #[must_use]
    pub fn reporting_to(self, findings: Findings) -> Self {
        Self { check: self.check.reporting_to(findings), ..self }
    }

    /// To be notified by whoever needs a checkpoint of what is public by now.
    #[must_use]
    pub fn signature_wanted(&self) -> Arc<Notify> {
        Arc::clone(&self.signature_wanted)
    }

    /// Relays until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(Box::pin(self.run_states())).await;
    }

    async fn run_states(&mut self) -> Infallible {
        let mut state = State::Waiting(Duration::ZERO);
        loop {
            state = match self.step(state).await {
                Ok(next) => next,
                Err(error) => State::Waiting(self.give_up(error).await),
            };
        }
    }

    /// One transition of the table above; an error leads to `Waiting`.
    async fn step(&mut self, state: State) -> Result<State, Error> {
        let (mut session, outcome, backoff) = match state {
            State::Waiting(pause) => {
                sleep(pause).await;
                return self.acquire().await;
            }
            State::Acquired(tail) => return self.start_session(*tail).await,
            State::Following(mut session) => {
                let trigger = session.next_trigger(&mut self.writes, &self.signature_wanted, &self.publisher).await?;
                (session, self.handle(trigger).await.into(), Backoff::between(PAUSE_MIN, PAUSE_MAX))
            }
            State::Resyncing(session, Blockage { error, mut backoff }) => {
                let outcome = self.resync_after(&error).await.into();
                if let RelayOutcome::Blocked(_) = outcome {
                    sleep(backoff.failed()).await;
                }
                (session, outcome, backoff)
            }
        };
        match outcome {
            RelayOutcome::Published => {
                // Whether it was published or resynced: everything that follows from these transactions is public.
                session.acknowledge(self.publisher.published());
                self.show(Phase::Following, None);
                Ok(State::Following(session))
            }
            RelayOutcome::Blocked(error) => Ok(State::Resyncing(session, Blockage { error, backoff })),
            RelayOutcome::Failed(error) => Err(error),
        }
    }

    async fn acquire(&mut self) -> Result<State, Error> {
        let published = self.publisher.published();
        self.attempt = Attempt { began: Instant::now(), published, was_suspect: self.suspect };
        let tail = self.slot.take(self.reader.log_id()).await?;
        tracing::info!(slot = self.slot.name(), "replication slot acquired");
        failpoints::RELAY_TAKEN.reached();
        Ok(State::Acquired(Box::new(tail)))
    }

    async fn start_session(&mut self, tail: Tail) -> Result<State, Error> {
        if self.suspect {
            self.check.check_whole_log().await?;
            // What was folded from the suspect log is no longer trusted either.
            self.follower = Follower::new(self.reader.log_id());
            self.suspect = false;
        }
        self.resync().await?;
        Ok(State::Following(Box::new(Session::start(tail, self.check.clone(), &self.link))))
    }

    /// Shows why the slot was given up, and says how long to wait before it is asked for again.
    async fn give_up(&mut self, error: Error) -> Duration {
        if self.publisher.published() > self.attempt.published {
            self.backoff.reset();
        }
        if let Error::Backend(BackendError::Wal(WalError::SlotBusy(_))) = error {
            self.show(Phase::Standby, None);
            // Spread by chance, so that several standbys don't ask in step.
            return STANDBY_PAUSE.mul_f64(0.5 + fastrand::f64());
        }
        metrics::attempt_failed("relay");
        if let Error::Backend(BackendError::Wal(WalError::Undecodable(_))) = error
            && let Err(error) = self.slot.discard().await
        {
            tracing::warn!(%error, slot = self.slot.name(), "replication slot can't be dropped");
        }
        tracing::warn!(%error, failures = self.backoff.failures(), "relay failed; it starts again");
        self.suspect |= error.is_about_content();
        self.show(Phase::Starting, Some(error.to_string()));
        self.backoff.failed().max(self.rest_of_suspect(&error))
    }

    /// Reading a large log again and again at full speed, only to find the same, would leave little for others.
    fn rest_of_suspect(&self, error: &Error) -> Duration {
        let Attempt { began, was_suspect, .. } = self.attempt;
        let is_still_suspect =
            was_suspect && error.is_about_content() && self.resynced.is_none_or(|resynced| resynced < began);
        if is_still_suspect { (began.elapsed() * SUSPECT_REST).min(SUSPECT_REST_MAX) } else { Duration::ZERO }
    }

    async fn handle(&mut self, trigger: Trigger) -> Result<(), Error> {
        match trigger {
            Trigger::Transactions(events) => {
                self.check_node_proofs(events.last()).await?;
                failpoints::RELAY_RECEIVED.reached();
                self.relay_events(events).await
            }
            Trigger::RecordWritten(write) => match self.publisher.knows(&write.key, write.revision) {
                true => Ok(()),
                false => Err(PublishError::Disturbed(format!("the record of {}", write.key)).into()),
            },
            Trigger::NatsReturned => {
                Err(PublishError::Disturbed("NATS, perhaps, while it was unreachable".into()).into())
            }
            Trigger::InspectionDue => self.inspect().await,
            Trigger::SignatureDue => self.sign_checkpoint().await,
            Trigger::StreamRepairDue => Ok(self.publisher.repair_stream(self.follower.position()).await?),
            Trigger::Resigned(records) => Ok(self.publisher.set_resigned(records).await?),
            Trigger::SweepDue => Ok(self.publisher.sweep_objects().await?),
            Trigger::FollowerWanted(request) => {
                // The check that asked may have ended meanwhile.
                let _ = request.send(self.follower.clone());
                Ok(())
            }
            Trigger::DifferenceFound(difference) => Err(Error::Found(difference.into())),
        }
    }

    /// Folds and publishes the events of whole transactions, except for those that a resync has brought already.
    async fn relay_events(&mut self, events: Vec<Event>) -> Result<(), Error> {
        let known = self.follower.position();
        let new: Vec<Event> = events.into_iter().filter(|event| event.position > known).collect();
        let Some(first) = new.first() else { return Ok(()) };
        if first.position != known.next() {
            let gap = format!("the slot: event {} came after {known}", first.position);
            return Err(PublishError::Disturbed(gap).into());
        }
        let mut affected = AffectedNodes::new();
        for event in &new {
            affected.extend(self.follower.advance(event)?);
        }
        failpoints::RELAY_FOLDED.reached();
        self.publisher.publish(self.follower.configuration(), affected, &new).await?;
        // While the event stream waits for its repair, events are not public yet.
        if self.publisher.published() == self.follower.position() {
            metrics::events_published(&new);
            log_published(&new);
        }
        Ok(())
    }

    async fn inspect(&mut self) -> Result<(), Error> {
        self.check_node_proofs(None).await?;
        self.check_nothing_is_skipped().await?;
        Ok(self.publisher.inspect().await?)
    }

    /// A change that was written while the publication did not let it through never comes through the slot, and if no other
    /// follows nothing else would show it.
    async fn check_nothing_is_skipped(&mut self) -> Result<(), Error> {
        let now = (self.follower.position(), self.reader.head().await?.position);
        let before = std::mem::replace(&mut self.inspected, now);
        if before.0 == now.0 && before.1 > now.0 {
            let missing = format!("the slot: event {} did not come", now.0.next());
            return Err(PublishError::Disturbed(missing).into());
        }
        Ok(())
    }

    async fn sign_checkpoint(&mut self) -> Result<(), Error> {
        let frontier = self.follower.frontier();
        // What was folded and not published is not signed.
        if frontier.size() == self.publisher.published() {
            self.signer.sign(frontier).await?;
        }
        Ok(())
    }

    /// Whether the log, with `last` at its end if that is further than what was folded, has the events that nodes prove.
    async fn check_node_proofs(&self, last: Option<&Event>) -> Result<(), Error> {
        let end = last.map_or(Position::ZERO, |last| last.position).max(self.follower.position());
        // Proofs of earlier events would cost a read for each batch. The append gate looks them up.
        let beyond = self.reports.furthest_proof().filter(|(_, cause)| cause.position > end);
        Ok(continuity::check_node_proof(&self.reader, beyond, end).await?)
    }

    fn show(&self, phase: Phase, fault: Option<String>) {
        let status = RelayStatus { phase, published: self.publisher.published(), fault };
        self.status.send_if_modified(|shown| std::mem::replace(shown, status.clone()) != status);
    }
}

fn log_published(events: &[Event]) {
    if tracing::enabled!(tracing::Level::DEBUG) {
        for last in events.iter().filter(|event| event.ends_request()) {
            telemetry::request(last.command_id).in_scope(|| tracing::debug!(position = %last.position, "published"));
        }
    }
}
