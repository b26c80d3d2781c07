//! The one writer of this process: what waits goes into one transaction.
//!
//! While a transaction is on its way, further requests are decided ahead; the next transaction takes all of them, so one
//! fsync serves many. Several processes may append to one log: whoever holds the head row first reads what the others appended, and
//! then decides. If a connection breaks while committing, the outcome is looked up behind the head row's lock: until
//! that lock is ours, the transaction may still commit.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use projections::configuration::Configuration;
use replay::log::Follower;
use schema::id::{CommandId, LogId};
use schema::instant::Instant;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::{metrics, points, telemetry};

use super::ahead::{Ahead, Load, is_quick};
use super::batch::{Batch, Receipt, Submission, Verdict};
use super::database::Error;
use super::handle::{Health, Log, SubmitError, Waiting, queue};
use super::kept::Kept;
use super::reader::{Head, Reader};
use super::rows;
use super::store::{NotStored, Opened, Store};

/// How often an idle process looks whether another one appended.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often PostgreSQL is told that the lock's holder lives: well within `idle_in_transaction_session_timeout`.
const ALIVE_EVERY: Duration = Duration::from_secs(1);
/// The first pause after a failure.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// After so many failures in a row callers are told, where nothing of theirs can have been stored.
const FAILURES_MAX: u32 = 5;

/// The writer. [`Appender::run`] it in a task of its own.
pub struct Appender {
    reader: Reader,
    log_id: LogId,
    follower: Follower,
    store: Option<Store>,
    queue: mpsc::Receiver<Waiting>,
    /// A request that the last load had no room for.
    carried: Option<Waiting>,
    /// What is appended next, decided ahead or not.
    ahead: Option<(Load, Option<Batch>)>,
    nudge: Arc<Notify>,
    view: watch::Sender<Configuration>,
    health: watch::Sender<Health>,
    kept: Kept,
    /// Why nothing may be appended now.
    withheld: watch::Receiver<Option<String>>,
}

impl Appender {
    /// Folds the log up to its head, and is ready to append to it.
    ///
    /// # Errors
    /// If the log can't be read or is not intact.
    pub async fn start(reader: Reader) -> Result<(Self, Log), Error> {
        let log_id = reader.log_id();
        let mut follower = Follower::new(log_id);
        let head = reader.head().await?;
        let kept = Kept::default();
        reader.follow_keeping(&mut follower, head.position, Some(&kept)).await?;
        let (view, views) = watch::channel(follower.configuration().clone());
        let (health, healths) = watch::channel(Health::default());
        let nudge = Arc::new(Notify::new());
        let (sender, queue) = queue();
        let (withhold, withheld) = watch::channel(None);
        let log = Log::new(reader.clone(), sender, views, healths, Arc::clone(&nudge), kept.clone(), withhold);
        let (store, carried, ahead) = (None, None, None);
        let appender =
            Self { reader, log_id, follower, store, queue, carried, ahead, nudge, view, health, kept, withheld };
        Ok((appender, log))
    }

    /// Appends until told to stop, or until nobody holds the log any more.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let nudge = Arc::clone(&self.nudge);
        while !stop.is_cancelled() {
            let mut ahead = self.ahead.take();
            if ahead.is_none() && self.carried.is_none() {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    first = self.queue.recv() => match first {
                        Some(first) => self.carried = Some(first),
                        None => return,
                    },
                    () = nudge.notified() => {}
                    _ = look.tick() => {}
                }
            }
            if ahead.is_none() {
                ahead = self.gather().map(|load| (load, None));
            }
            points::APPEND_TAKEN.reached();
            match ahead {
                Some((load, batch)) => self.append(load.into_waiting(), batch, &stop).await,
                None => self.look().await,
            }
        }
    }

    /// Everything that waits, as far as one transaction takes it.
    fn gather(&mut self) -> Option<Load> {
        let mut load = Load::default();
        load.take(self.carried.take()?).ok()?;
        self.carried = load.gather(&mut self.queue);
        Some(load)
    }

    /// Appends what waits, however often it takes, and answers every caller. `decided` is what it comes to, if that is known.
    async fn append(&mut self, mut waiting: Vec<Waiting>, mut decided: Option<Batch>, stop: &CancellationToken) {
        let mut unknown = None;
        let mut backoff = Backoff::between(PAUSE_MIN, PAUSE_MAX);
        loop {
            if unknown.is_none() {
                // Whoever has gone is not served: nothing is accepted that nobody hears of.
                waiting.retain(|waiting| !waiting.is_gone());
            }
            if waiting.iter().all(Waiting::is_gone) {
                return;
            }
            let error = match Box::pin(self.attempt(&waiting, decided.take(), &mut unknown)).await {
                Ok(verdicts) => {
                    self.health.send_replace(Health::default());
                    answer(waiting, verdicts);
                    return points::APPEND_ANSWERED.reached();
                }
                Err(Error::Uncommitted) if waiting.len() > 1 => {
                    return self.append_in_halves(waiting, stop).await;
                }
                Err(Error::Uncommitted) => continue,
                Err(error) => error,
            };
            if error.is_about_data() && unknown.is_none() {
                return self.append_one_by_one(waiting, &error, stop).await;
            }
            metrics::failed("append");
            tracing::warn!(%error, failures = backoff.failures(), requests = waiting.len(), "appending failed");
            self.health.send_replace(Health::failing(&error));
            let hopeless = !error.is_transient() || backoff.failures() >= FAILURES_MAX;
            if unknown.is_none() && (hopeless || stop.is_cancelled()) {
                return waiting
                    .into_iter()
                    .for_each(|waiting| waiting.fail(SubmitError::Unavailable(error.to_string())));
            }
            tokio::time::sleep(backoff.failed()).await;
        }
    }

    /// A batch that fails on its data is tried request by request, so that one costs the others nothing.
    async fn append_one_by_one(&mut self, waiting: Vec<Waiting>, error: &Error, stop: &CancellationToken) {
        if waiting.len() == 1 {
            tracing::error!(%error, "PostgreSQL refuses data that was let in");
            let refused = |waiting: Waiting| waiting.fail(SubmitError::Unstorable(error.to_string()));
            return waiting.into_iter().for_each(refused);
        }
        for alone in waiting {
            Box::pin(self.append(vec![alone], None, stop)).await;
        }
    }

    /// A batch that was sent and is not there is sent in smaller ones: over a slow link it would never get to PostgreSQL in
    /// the time for which that lets the lock be held.
    async fn append_in_halves(&mut self, mut waiting: Vec<Waiting>, stop: &CancellationToken) {
        let later = waiting.split_off(waiting.len() / 2);
        for half in [waiting, later] {
            Box::pin(self.append(half, None, stop)).await;
        }
    }

    /// One transaction. `unknown` holds the batch whose outcome is not known, across attempts.
    async fn attempt(
        &mut self,
        waiting: &[Waiting],
        decided: Option<Batch>,
        unknown: &mut Option<Batch>,
    ) -> Result<Vec<Verdict>, Error> {
        // What may have been appended already is looked up, whatever is said since.
        if unknown.is_none() {
            self.is_let()?;
        }
        let store = match self.store.take().filter(|store| !store.is_closed()) {
            Some(store) => store,
            None => Store::open(self.reader.database()).await?,
        };
        // A request without a key has an identity of its own, so there is no receipt to look for.
        let keyed = waiting.iter().filter(|waiting| waiting.submission.keyed);
        let commands: Vec<CommandId> = keyed.map(|waiting| waiting.submission.command_id).collect();
        // What is not as its head says is not kept, so that it can be folded once it is right again.
        let before = self.follower.clone();
        let opened = self.open(&store, &commands).await.inspect_err(|_| self.follower = before)?;
        self.show();
        points::APPEND_LOCKED.reached();
        if let Some(batch) = unknown.as_ref() {
            let committed = match batch.events.first() {
                Some(event) => store.holds(event.event_id).await?,
                None => batch.receipts.iter().all(|receipt| opened.receipts.contains(receipt)),
            };
            // Until here a broken connection leaves the outcome unknown; from here it is known, however this session ends.
            let batch = unknown.take().filter(|_| committed);
            if store.roll_back().await.is_ok() {
                self.store = Some(store);
            }
            // What was not committed is sent again only if it still may be, and if somebody still waits for it.
            return batch.map(|batch| batch.verdicts).ok_or(Error::Uncommitted);
        }
        let holds = |batch: &Batch| batch.is_of(waiting.len(), self.follower.configuration());
        let batch = match decided.filter(|batch| opened.receipts.is_empty() && holds(batch)) {
            Some(batch) => batch,
            None => self.decide(&store, waiting, opened.receipts).await?,
        };
        points::APPEND_DECIDED.reached();
        if batch.is_empty() {
            store.roll_back().await?;
            self.store = Some(store);
            return Ok(batch.verdicts);
        }
        let (stored, ahead) = self.commit(&store, &batch).await;
        let Ahead { load, batch: next, .. } = ahead;
        let next = stored.is_ok().then_some(next);
        self.ahead = self.ahead.take().or((!load.is_empty()).then_some((load, next)));
        match stored {
            Ok(()) => {
                points::APPEND_COMMITTED.reached();
                metrics::appended(&batch.events, waiting.len());
                tell_stored(waiting);
                self.store = Some(store);
                batch.milestones.into_iter().for_each(|state| self.kept.keep(state));
                self.follower = Follower::resume(self.log_id, batch.configuration, batch.growth.into_edge());
                self.show();
                Ok(batch.verdicts)
            }
            Err(NotStored { error, is_certain }) => {
                if !is_certain {
                    *unknown = Some(batch);
                }
                Err(error)
            }
        }
    }

    /// Locks the head, and folds what others appended up to it. A session is put back only where its transaction has certainly
    /// ended.
    async fn open(&mut self, store: &Store, commands: &[CommandId]) -> Result<Opened, Error> {
        let mut opened = store.begin(self.log_id, self.follower.position(), commands).await?;
        while self.fold(&opened.later, &opened.head)? {
            store.roll_back().await?;
            self.reader.follow_keeping(&mut self.follower, opened.head.position, Some(&self.kept)).await?;
            opened = store.begin(self.log_id, self.follower.position(), commands).await?;
        }
        Ok(opened)
    }

    /// Stores a batch, and decides what comes meanwhile against the state after it.
    async fn commit(&mut self, store: &Store, batch: &Batch) -> (Result<(), NotStored>, Ahead) {
        let mut ahead = Ahead::after(self.log_id, batch);
        let mut stored = pin!(store.commit(batch));
        loop {
            tokio::select! {
                biased;
                stored = &mut stored => return (stored, ahead),
                Some(next) = self.queue.recv(), if self.ahead.is_none() && self.carried.is_none() => {
                    self.carried = ahead.take(next, now()).err();
                    points::APPEND_AHEAD.reached();
                }
            }
        }
    }

    /// Decides what waits, with the head row locked. What concerns many nodes takes its time: it is done where it holds up
    /// nobody else of this process, while PostgreSQL is told that the lock's holder lives.
    async fn decide(&self, store: &Store, waiting: &[Waiting], known: Vec<Receipt>) -> Result<Batch, Error> {
        let submissions: Vec<Arc<Submission>> = waiting.iter().map(|waiting| Arc::clone(&waiting.submission)).collect();
        let (log_id, state, clock) = (self.log_id, self.follower.configuration().clone(), now());
        let edge = self.follower.edge().clone();
        let quick = is_quick(submissions.iter().map(|submission| &**submission), &state);
        let decide = move || {
            let mut batch = Batch::new(log_id, (state, edge), known);
            submissions.into_iter().for_each(|submission| batch.take(submission, clock));
            batch
        };
        if quick {
            return Ok(decide());
        }
        let mut deciding = tokio::task::spawn_blocking(decide);
        loop {
            match timeout(ALIVE_EVERY, &mut deciding).await {
                Ok(Ok(batch)) => return Ok(batch),
                Ok(Err(ended)) => std::panic::resume_unwind(ended.into_panic()),
                Err(_) => store.keep_alive().await?,
            }
        }
    }

    /// Folds what others appended; true if there is more than one look brings. Nothing is appended to a log that is not what
    /// its head says.
    fn fold(&mut self, later: &[schema::event::Event], head: &Head) -> Result<bool, Error> {
        if head.position < self.follower.position() {
            return Err(Error::WentBack { head: head.position, folded: self.follower.position() });
        }
        if let Some(last) = later.last().filter(|last| last.position > head.position) {
            return Err(Error::Beyond { found: last.position, head: head.position });
        }
        for event in later {
            self.follower.advance(event)?;
            self.kept.pass(event, self.follower.configuration());
        }
        if self.follower.position() < head.position { Ok(true) } else { head.is_over(&self.follower).map(|()| false) }
    }

    /// Whether anything may be appended now.
    fn is_let(&self) -> Result<(), Error> {
        match &*self.withheld.borrow() {
            Some(reason) => Err(Error::Withheld(reason.clone())),
            None => Ok(()),
        }
    }

    /// Looks whether another process appended.
    async fn look(&mut self) {
        let looked = async {
            let head = self.reader.head().await?;
            if head.position < self.follower.position() {
                return Err(Error::WentBack { head: head.position, folded: self.follower.position() });
            }
            let mut follower = self.follower.clone();
            self.reader.follow_keeping(&mut follower, head.position, Some(&self.kept)).await?;
            head.is_over(&follower)?;
            self.follower = follower;
            // What was folded is shown, whether or not anything may be added to it.
            self.show();
            self.is_let()
        };
        let health = match looked.await {
            Ok(()) => Health::default(),
            // It may have come to the middle of a request, and no request is shown in part.
            Err(error) => Health::failing(&error),
        };
        self.health.send_if_modified(|current| std::mem::replace(current, health.clone()) != health);
    }

    /// Shows the folded state to every reader.
    fn show(&self) {
        let state = self.follower.configuration();
        self.view.send_if_modified(|shown| {
            let newer = shown.position() != state.position();
            if newer {
                *shown = state.clone();
            }
            newer
        });
    }
}

fn answer(waiting: Vec<Waiting>, verdicts: Vec<Verdict>) {
    assert_eq!(waiting.len(), verdicts.len(), "BUG: every submission gets a verdict");
    waiting.into_iter().zip(verdicts).for_each(|(waiting, verdict)| waiting.answer(verdict));
}

/// Says of each request that it is in the log, if anybody wants to know.
fn tell_stored(waiting: &[Waiting]) {
    if tracing::enabled!(tracing::Level::DEBUG) {
        let requests = waiting.iter().map(|waiting| telemetry::request(waiting.submission.command_id));
        requests.for_each(|request| request.in_scope(|| tracing::debug!("decided and stored")));
    }
}

fn now() -> Instant {
    rows::instant(SystemTime::now())
}
