//! One process's view of the end of the log: the state folded up to the head, and the session that appends behind it.
//!
//! Several processes may append to one log. Whoever locks the head row first folds what the others appended, and then decides.

use projections::configuration::Configuration;
use replay::log::Follower;
use schema::event::Event;
use schema::id::{CommandId, LogId};
use schema::instant::Instant;
use tokio::sync::watch;

use program::clock::Clock;
use program::failpoints;

use super::append_session::{AppendSession as _, AppendStore, Epoch, LockedHead};
use super::batch::DecidedBatch;
use super::clocks::{ClockAhead, Clocks, Dating, Doubt, NatsClock};
use super::database::Error;
use super::reader::Head;
use super::snapshots::Snapshots;
use super::submission::SubmissionVerdict;

pub(crate) struct LogWriter<S: AppendStore> {
    store: S,
    pub(super) log_id: LogId,
    pub(super) follower: Follower,
    /// A session that is in no transaction. A session comes back only if its transaction has certainly ended.
    pub(super) idle_session: Option<S::Session>,
    /// The epoch of the head, if nobody else had appended when the head row was last locked.
    pub(super) known_epoch: Option<Epoch>,
    view: watch::Sender<Configuration>,
    snapshots: Snapshots,
    /// Why nothing may be appended now.
    withheld: watch::Receiver<Option<String>>,
    pub(super) clock: Clock,
    nats_clock: NatsClock,
    /// What was wrong with a clock or the log's time when they were last checked.
    doubt: Option<Doubt>,
}

impl<S: AppendStore> LogWriter<S> {
    /// Folds the log up to its head, and opens a session.
    pub(crate) async fn start(
        store: S,
        snapshots: Snapshots,
        withheld: watch::Receiver<Option<String>>,
        (clock, nats_clock): (Clock, NatsClock),
    ) -> Result<Self, Error> {
        let log_id = store.log_id();
        let mut follower = Follower::new(log_id);
        let head = store.head().await?;
        store.follow(&mut follower, head.position, &snapshots).await?;
        let idle_session = Some(store.connect().await?);
        let view = watch::Sender::new(follower.configuration().clone());
        let (known_epoch, doubt) = (None, None);
        Ok(Self {
            store,
            log_id,
            follower,
            idle_session,
            known_epoch,
            view,
            snapshots,
            withheld,
            clock,
            nats_clock,
            doubt,
        })
    }

    /// The folded state, for every reader.
    pub(crate) fn views(&self) -> watch::Receiver<Configuration> {
        self.view.subscribe()
    }

    /// What was wrong with a clock or the log's time when they were last checked, though events are appended.
    pub(crate) fn doubt(&self) -> Option<&Doubt> {
        self.doubt.as_ref()
    }

    /// The idle session, or a new one.
    pub(super) async fn session(&mut self) -> Result<S::Session, Error> {
        match self.idle_session.take().filter(|session| !session.is_closed()) {
            Some(session) => Ok(session),
            None => self.store.connect().await,
        }
    }

    /// Whether anything may be appended now.
    pub(super) fn check_open(&self) -> Result<(), Error> {
        match &*self.withheld.borrow() {
            Some(reason) => Err(Error::Withheld(reason.clone())),
            None => Ok(()),
        }
    }

    /// Locks the head row, and folds what others appended up to the head.
    pub(super) async fn lock_head(
        &mut self,
        session: &S::Session,
        requests: &[CommandId],
    ) -> Result<LockedHead, Error> {
        // Events of a log that is not what its head says are not kept folded, so that they are folded once it is right again.
        let before = self.follower.clone();
        let head = self.lock_and_fold(session, requests).await.inspect_err(|_| self.follower = before)?;
        self.show();
        failpoints::APPEND_LOCKED.reached();
        Ok(head)
    }

    async fn lock_and_fold(&mut self, session: &S::Session, requests: &[CommandId]) -> Result<LockedHead, Error> {
        self.known_epoch = None;
        let before = self.follower.position();
        let mut locked = session.lock_head(self.log_id, before, requests).await?;
        while self.fold(&locked.later, &locked.head)? {
            // There are too many events to read them while the lock is held.
            session.roll_back().await?;
            self.store.follow(&mut self.follower, locked.head.position, &self.snapshots).await?;
            locked = session.lock_head(self.log_id, self.follower.position(), requests).await?;
        }
        self.known_epoch = (locked.head.position == before).then_some(locked.epoch);
        Ok(locked)
    }

    /// Folds what others appended; true if the head is not reached by it. It fails if the log is not what its head says, so that
    /// nothing is appended then.
    fn fold(&mut self, later: &[Event], head: &Head) -> Result<bool, Error> {
        self.check_not_put_back(head)?;
        if let Some(last) = later.last().filter(|last| last.position > head.position) {
            return Err(Error::Beyond { found: last.position, head: head.position });
        }
        for event in later {
            self.follower.advance(event)?;
            self.snapshots.pass(event, self.follower.configuration());
        }
        if self.follower.position() < head.position { Ok(true) } else { head.is_over(&self.follower).map(|()| false) }
    }

    fn check_not_put_back(&self, head: &Head) -> Result<(), Error> {
        match self.follower.position() {
            folded if head.position < folded => Err(Error::WentBack { head: head.position, folded }),
            _ => Ok(()),
        }
    }

    /// Makes a stored batch the end of the log, and gives its verdicts.
    pub(super) fn fold_stored(&mut self, batch: DecidedBatch) -> Vec<SubmissionVerdict> {
        batch.snapshots.into_iter().for_each(|state| self.snapshots.keep(state));
        self.follower = Follower::resume(self.log_id, batch.configuration, batch.growth.into_edge());
        self.show();
        batch.verdicts
    }

    /// How events may be dated by what the clocks say. While a clock is in doubt the epoch is forgotten, so that the next batch locks
    /// the head row and checks the clocks again.
    pub(super) fn check_clocks(
        &mut self,
        server: Instant,
        postgres: Instant,
        head: &Head,
    ) -> Result<Dating, ClockAhead> {
        let clocks = Clocks { server, postgres, nats: self.nats_clock.now(), head: head.at };
        metrics::clocks_compared(server, postgres, clocks.log_ahead());
        let dating = clocks.dating();
        let doubt = dating.as_ref().ok().and_then(|dating| dating.doubt.clone());
        if doubt.is_some() || dating.is_err() {
            self.known_epoch = None;
        }
        self.doubt = doubt;
        dating
    }

    /// Folds what other processes appended, without a lock, and checks the clocks.
    pub(crate) async fn refresh(&mut self) -> Result<(), Error> {
        let server = self.clock.now();
        let (head, postgres) = self.store.head_and_clock().await?;
        self.check_not_put_back(&head)?;
        let mut follower = self.follower.clone();
        self.store.follow(&mut follower, head.position, &self.snapshots).await?;
        head.is_over(&follower)?;
        self.follower = follower;
        // The folded state is shown, whether or not anything may be appended.
        self.show();
        self.check_open()?;
        self.check_clocks(server, postgres, &head)?;
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
