//! One process's hold on the end of the log: what is folded up to there, and one transaction after the other behind it.
//!
//! Several processes may append to one log: whoever holds the head row first reads what the others appended, and then decides. What
//! was decided ahead is stored by one statement without such a look, and comes to nothing if somebody else appended meanwhile.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use program::clock::Clock;
use program::failpoints;
use program::telemetry;
use projections::configuration::Configuration;
use replay::log::Follower;
use schema::event::Event;
use schema::id::{CommandId, LogId};
use schema::instant::Instant;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::ahead::{Ahead, is_quick};
use super::batch::{Batch, Receipt, Submission, Verdict};
use super::clocks::{ClockAhead, Clocks, Dating, Doubt, NatsClock};
use super::database::Error;
use super::handle::Waiting;
use super::kept::Kept;
use super::line::Line;
use super::reader::{Head, Reader};
use super::statement::Turn;
use super::store::{NotStored, Opened, Store};

/// How often PostgreSQL is told that the lock's holder lives: well within `idle_in_transaction_session_timeout`.
const ALIVE_EVERY: Duration = Duration::from_secs(1);

/// What makes sure that the head is where a batch was decided from when it is stored, with the turn of that head.
#[derive(Clone, Copy, Debug)]
enum Lock {
    /// The head row's lock, which this session took before it looked.
    Held(Turn),
    /// The statement itself, which stores nothing if it is not.
    Expected(Turn),
}

/// The hold.
pub(crate) struct Writer {
    reader: Reader,
    log_id: LogId,
    follower: Follower,
    store: Option<Store>,
    /// The turn of the head, if nobody else had appended when it was last looked.
    alone: Option<Turn>,
    view: watch::Sender<Configuration>,
    kept: Kept,
    /// Why nothing may be appended now.
    withheld: watch::Receiver<Option<String>>,
    clock: Clock,
    nats_clock: NatsClock,
    /// What was wrong with a clock or the log's time when they were last looked at.
    doubt: Option<Doubt>,
}

impl Writer {
    /// Folds the log up to its head, and gets ready to append to it.
    pub(crate) async fn start(
        reader: Reader,
        kept: Kept,
        withheld: watch::Receiver<Option<String>>,
        (clock, nats_clock): (Clock, NatsClock),
    ) -> Result<Self, Error> {
        let log_id = reader.log_id();
        let mut follower = Follower::new(log_id);
        let head = reader.head().await?;
        reader.follow_keeping(&mut follower, head.position, Some(&kept)).await?;
        let store = Some(Store::open(reader.database()).await?);
        let view = watch::Sender::new(follower.configuration().clone());
        let (alone, doubt) = (None, None);
        Ok(Self { reader, log_id, follower, store, alone, view, kept, withheld, clock, nats_clock, doubt })
    }

    /// The folded state, for every reader.
    pub(crate) fn views(&self) -> watch::Receiver<Configuration> {
        self.view.subscribe()
    }

    /// One transaction. `decided` is what the requests come to, if that was decided ahead; `unknown` holds the batch whose outcome is
    /// not known, across attempts. Who comes into the line while this is stored is decided ahead in turn.
    pub(crate) async fn attempt(
        &mut self,
        waiting: &[Waiting],
        decided: Option<Batch>,
        unknown: &mut Option<Batch>,
        line: &mut Line,
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
        let mut decided = decided.filter(|batch| batch.is_of(waiting.len(), self.follower.configuration()));
        let alone = self.alone.filter(|_| unknown.is_none() && commands.is_empty());
        // What refuses everything stores nothing, so nothing would tell that the state it rests on has passed.
        if let Some(turn) = alone
            && let Some(batch) = decided.take_if(|batch| !batch.events.is_empty())
        {
            return self.settle(store, batch, Lock::Expected(turn), waiting, unknown, line).await;
        }
        // What is not as its head says is not kept, so that it can be folded once it is right again.
        let (before, asked) = (self.follower.clone(), self.clock.now());
        let opened = self.open(&store, &commands).await.inspect_err(|_| self.follower = before)?;
        self.show();
        failpoints::APPEND_LOCKED.reached();
        if let Some(batch) = unknown.as_ref() {
            let committed = match batch.events.first() {
                Some(event) => store.holds(event.event_id).await?,
                None => batch.receipts.iter().all(|receipt| opened.receipts.contains(receipt)),
            };
            // What is not there may still be on its way; once it is barred it never will be.
            match committed {
                true => drop(store.roll_back().await),
                false => store.bar().await?,
            }
            self.alone = None;
            // What was not committed is sent again only if it still may be, and if somebody still waits for it.
            return unknown.take().filter(|_| committed).map(|batch| batch.verdicts).ok_or(Error::Uncommitted);
        }
        let latest = match self.dating(asked, opened.clock, &opened.head) {
            Ok(dating) => dating.latest,
            Err(ahead) => {
                store.roll_back().await?;
                self.store = Some(store);
                return Err(ahead.into());
            }
        };
        let is_dated = |batch: &Batch| batch.clock().is_none_or(|clock| clock <= latest);
        let holds = |batch: &Batch| batch.is_of(waiting.len(), self.follower.configuration()) && is_dated(batch);
        let batch = match decided.filter(|batch| opened.receipts.is_empty() && holds(batch)) {
            Some(batch) => batch,
            None => self.decide(&store, waiting, opened.receipts, self.clock.now().min(latest)).await?,
        };
        failpoints::APPEND_DECIDED.reached();
        if batch.is_empty() {
            store.roll_back().await?;
            self.store = Some(store);
            return Ok(batch.verdicts);
        }
        self.settle(store, batch, Lock::Held(opened.turn), waiting, unknown, line).await
    }

    /// Stores a batch, and takes what it leaves behind for the end of the log.
    async fn settle(
        &mut self,
        store: Store,
        batch: Batch,
        lock: Lock,
        waiting: &[Waiting],
        unknown: &mut Option<Batch>,
        line: &mut Line,
    ) -> Result<Vec<Verdict>, Error> {
        match self.commit(&store, &batch, lock, line).await {
            Ok(()) => {
                failpoints::APPEND_COMMITTED.reached();
                metrics::appended(&batch.events, waiting.len());
                tell_stored(waiting);
                self.store = Some(store);
                batch.milestones.into_iter().for_each(|state| self.kept.keep(state));
                self.follower = Follower::resume(self.log_id, batch.configuration, batch.growth.into_edge());
                self.show();
                Ok(batch.verdicts)
            }
            Err(NotStored { error, is_certain }) => {
                self.alone = None;
                if !is_certain {
                    *unknown = Some(batch);
                } else if matches!(error, Error::Moved) {
                    // It was a transaction of its own, and has ended.
                    self.store = Some(store);
                }
                Err(error)
            }
        }
    }

    /// Locks the head, and folds what others appended up to it. A session is put back only where its transaction has certainly
    /// ended.
    async fn open(&mut self, store: &Store, commands: &[CommandId]) -> Result<Opened, Error> {
        self.alone = None;
        let before = self.follower.position();
        let mut opened = store.begin(self.log_id, before, commands).await?;
        while self.fold(&opened.later, &opened.head)? {
            store.roll_back().await?;
            self.reader.follow_keeping(&mut self.follower, opened.head.position, Some(&self.kept)).await?;
            opened = store.begin(self.log_id, self.follower.position(), commands).await?;
        }
        self.alone = (opened.head.position == before).then_some(opened.turn);
        Ok(opened)
    }

    /// Stores a batch, and decides what comes meanwhile against the state after it.
    async fn commit(&self, store: &Store, batch: &Batch, lock: Lock, line: &mut Line) -> Result<(), NotStored> {
        let mut ahead = Ahead::after(self.log_id, batch);
        let mut stored = pin!(async {
            match lock {
                Lock::Held(turn) => store.commit(self.log_id, batch, turn).await,
                Lock::Expected(turn) => store.append(self.log_id, batch, turn).await,
            }
        });
        // Once this is sent, the callers of the batch before come first: see `Appender::run`.
        let (mut theirs, mut is_theirs) = (pin!(yield_now()), true);
        let stored = loop {
            tokio::select! {
                biased;
                stored = &mut stored => break stored,
                () = &mut theirs, if is_theirs => is_theirs = false,
                Some(next) = line.next(), if !is_theirs && line.is_empty() => {
                    line.leave(ahead.take(next, self.clock.now()).err());
                    failpoints::APPEND_AHEAD.reached();
                }
            }
        };
        let Ahead { load, batch: next, .. } = ahead;
        line.queue_up(load, stored.is_ok().then_some(next));
        stored
    }

    /// Decides what waits, with the head row locked. What concerns many nodes takes its time: it is done where it holds up
    /// nobody else of this process, while PostgreSQL is told that the lock's holder lives.
    async fn decide(
        &self,
        store: &Store,
        waiting: &[Waiting],
        known: Vec<Receipt>,
        clock: Instant,
    ) -> Result<Batch, Error> {
        let submissions: Vec<Arc<Submission>> = waiting.iter().map(|waiting| Arc::clone(&waiting.submission)).collect();
        let (log_id, state) = (self.log_id, self.follower.configuration().clone());
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
    fn fold(&mut self, later: &[Event], head: &Head) -> Result<bool, Error> {
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

    /// How events may be dated by what the clocks say. Where one of them is in doubt, nothing is appended without the lock, so that
    /// this is asked each time.
    fn dating(&mut self, server: Instant, postgres: Instant, head: &Head) -> Result<Dating, ClockAhead> {
        let clocks = Clocks { server, postgres, nats: self.nats_clock.now(), head: head.at };
        metrics::clocks(server, postgres, clocks.log_ahead());
        let dating = clocks.dating();
        let doubt = dating.as_ref().ok().and_then(|dating| dating.doubt.clone());
        if doubt.is_some() || dating.is_err() {
            self.alone = None;
        }
        self.doubt = doubt;
        dating
    }

    /// What was wrong with a clock or the log's time when they were last looked at, though events are appended.
    pub(crate) fn doubt(&self) -> Option<&Doubt> {
        self.doubt.as_ref()
    }

    /// Whether anything may be appended now.
    fn is_let(&self) -> Result<(), Error> {
        match &*self.withheld.borrow() {
            Some(reason) => Err(Error::Withheld(reason.clone())),
            None => Ok(()),
        }
    }

    /// Looks whether another process appended.
    pub(crate) async fn look(&mut self) -> Result<(), Error> {
        let asked = self.clock.now();
        let (head, clock) = self.reader.head_and_clock().await?;
        if head.position < self.follower.position() {
            return Err(Error::WentBack { head: head.position, folded: self.follower.position() });
        }
        let mut follower = self.follower.clone();
        self.reader.follow_keeping(&mut follower, head.position, Some(&self.kept)).await?;
        head.is_over(&follower)?;
        self.follower = follower;
        // What was folded is shown, whether or not anything may be added to it.
        self.show();
        self.is_let()?;
        self.dating(asked, clock, &head)?;
        Ok(())
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

/// Says of each request that it is in the log, if anybody wants to know.
fn tell_stored(waiting: &[Waiting]) {
    if tracing::enabled!(tracing::Level::DEBUG) {
        let requests = waiting.iter().map(|waiting| telemetry::request(waiting.submission.command_id));
        requests.for_each(|request| request.in_scope(|| tracing::debug!("decided and stored")));
    }
}
