//! A log in memory that breaks connections and loses answers when a test says so.
//!
//! It has no logic of the appender: it locks one head row, stores a batch if head and epoch are those that the batch expects, and
//! answers. Each call runs as a task of its own, so that it goes on when its client is gone, as a statement in PostgreSQL does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use replay::log::Follower;
use replay::tree::Frontier;
use schema::digest::Digest;
use schema::event::Event;
use schema::id::{CommandId, EventId, LogId};
use schema::instant::Instant;
use schema::position::Position;
use schema::seal::SecretKey;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::time::sleep;
use uuid::Uuid;

use crate::append_session::{AppendSession, AppendStore, Epoch, LockedHead, StoreFailure};
use crate::batch::{DecidedBatch, RequestReceipt};
use crate::database::Error;
use crate::reader::Head;
use crate::snapshots::Snapshots;
use program::clock::Clock;

/// The time from a client to the store.
const LATENCY: Duration = Duration::from_millis(1);
/// Events that are read while the lock is held: so few that appenders have to catch up without it.
const LATER_MAX: usize = 3;

/// A call of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Connect,
    LockHead,
    Commit,
    Append,
    Fence,
    Contains,
    RollBack,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// The connection breaks before the call arrives.
    Lost,
    /// The call is executed, and the connection breaks before the answer arrives.
    Unanswered,
    /// The connection breaks at once, and the call is executed this many milliseconds later.
    Late(u64),
    /// The store refuses the call and ends the transaction.
    Refused,
}

#[derive(Clone)]
pub(super) struct MemoryStore {
    shared: Arc<Shared>,
    pub(super) clock: Clock,
}

struct Shared {
    tables: Mutex<Tables>,
    head_row: Arc<AsyncMutex<()>>,
    faults: Mutex<Vec<(Call, usize, Fault)>>,
}

/// What is committed.
struct Tables {
    head: Head,
    epoch: i64,
    events: Vec<Event>,
    receipts: BTreeMap<CommandId, RequestReceipt>,
}

/// What the storing statement gets.
struct Statement {
    base: (Position, Digest),
    epoch: Epoch,
    head: (Position, Instant, Digest),
    events: Vec<Event>,
    receipts: Vec<RequestReceipt>,
}

impl MemoryStore {
    pub(super) fn new(clock: Clock) -> Self {
        let head = Head {
            log_id: LogId::from(Uuid::from_u128(7)),
            position: Position::ZERO,
            at: Instant::default(),
            root: Frontier::default().root(),
            public_key: SecretKey::from_seed(&[7; 32]).public(),
        };
        let tables = Tables { head, epoch: 0, events: Vec::new(), receipts: BTreeMap::new() };
        let shared = Shared { tables: Mutex::new(tables), head_row: Arc::default(), faults: Mutex::default() };
        Self { shared: Arc::new(shared), clock }
    }

    /// Lets a call fail, after so many more of its kind.
    pub(super) fn break_call(&self, call: Call, later: usize, fault: Fault) {
        self.shared.faults.lock().unwrap().push((call, later, fault));
    }

    pub(super) fn heal(&self) {
        self.shared.faults.lock().unwrap().clear();
    }

    pub(super) fn committed(&self) -> (Head, Vec<Event>) {
        let tables = self.shared.tables.lock().unwrap();
        (tables.head.clone(), tables.events.clone())
    }

    /// Whether a request left a trace: an event or a receipt.
    pub(super) fn has(&self, request: CommandId) -> bool {
        let tables = self.shared.tables.lock().unwrap();
        tables.receipts.contains_key(&request) || tables.events.iter().any(|event| event.command_id == request)
    }

    fn take_fault(&self, call: Call) -> Option<Fault> {
        let mut faults = self.shared.faults.lock().unwrap();
        let next = faults.iter().position(|(broken, ..)| *broken == call)?;
        match &mut faults[next].1 {
            0 => Some(faults.remove(next).2),
            later => {
                *later -= 1;
                None
            }
        }
    }
}

impl Shared {
    /// Stores all of a batch if head and epoch are as expected, and else nothing.
    fn execute(&self, statement: Statement) -> bool {
        let mut tables = self.tables.lock().unwrap();
        let Statement { base, epoch, head: (position, at, root), events, receipts } = statement;
        if (tables.head.position, tables.head.root) != base || tables.epoch != epoch.0 {
            return false;
        }
        tables.head = Head { position, at, root, ..tables.head.clone() };
        tables.events.extend(events);
        for receipt in receipts {
            assert!(tables.receipts.insert(receipt.command_id, receipt).is_none(), "a receipt is unique");
        }
        true
    }
}

impl Statement {
    fn of(batch: &DecidedBatch, epoch: Epoch) -> Self {
        let (state, frontier) = batch.base();
        let after = &batch.configuration;
        Self {
            base: (state.position(), frontier.root()),
            epoch,
            head: (after.position(), after.at(), batch.growth.frontier().root()),
            events: batch.events.clone(),
            receipts: batch.receipts.clone(),
        }
    }
}

impl AppendStore for MemoryStore {
    type Session = MemorySession;

    fn log_id(&self) -> LogId {
        self.shared.tables.lock().unwrap().head.log_id
    }

    async fn connect(&self) -> Result<MemorySession, Error> {
        let session =
            MemorySession { store: self.clone(), transaction: Arc::default(), is_closed: AtomicBool::new(false) };
        session.call(Call::Connect, async {}).await?;
        Ok(session)
    }

    async fn head(&self) -> Result<Head, Error> {
        Ok(self.shared.tables.lock().unwrap().head.clone())
    }

    async fn head_and_clock(&self) -> Result<(Head, Instant), Error> {
        sleep(LATENCY).await;
        Ok((self.shared.tables.lock().unwrap().head.clone(), self.clock.now()))
    }

    async fn follow(&self, follower: &mut Follower, up_to: Position, snapshots: &Snapshots) -> Result<(), Error> {
        sleep(LATENCY).await;
        let tables = self.shared.tables.lock().unwrap();
        let is_wanted = |event: &&Event| follower.position() < event.position && event.position <= up_to;
        let wanted: Vec<Event> = tables.events.iter().filter(is_wanted).cloned().collect();
        for event in &wanted {
            follower.advance(event)?;
            snapshots.pass(event, follower.configuration());
        }
        Ok(())
    }
}

/// The lock of the head row, while a transaction holds it. It is released when the last task and the client let go of it.
type Transaction = Arc<AsyncMutex<Option<OwnedMutexGuard<()>>>>;

pub(super) struct MemorySession {
    store: MemoryStore,
    transaction: Transaction,
    is_closed: AtomicBool,
}

impl MemorySession {
    /// Sends a call and waits for its answer, unless a fault is due.
    async fn call<T: Send + 'static>(
        &self,
        call: Call,
        execution: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Error> {
        sleep(LATENCY).await;
        let fault = self.store.take_fault(call);
        if fault.is_some() {
            self.is_closed.store(true, Ordering::Relaxed);
        }
        match fault {
            None => return Ok(tokio::spawn(execution).await.unwrap()),
            Some(Fault::Lost) => drop(execution),
            Some(Fault::Unanswered) => drop(tokio::spawn(execution).await),
            Some(Fault::Late(millis)) => drop(tokio::spawn(async move {
                sleep(Duration::from_millis(millis)).await;
                execution.await
            })),
            Some(Fault::Refused) => {
                drop(execution);
                *self.transaction.lock().await = None;
                // An error that stays until somebody acts.
                return Err(Error::NotInstalled);
            }
        }
        Err(Error::Silent)
    }
}

fn failure(error: Error) -> StoreFailure {
    match error {
        Error::NotInstalled => StoreFailure::Refused(error),
        error => StoreFailure::Unknown(error),
    }
}

impl AppendSession for MemorySession {
    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    async fn lock_head(&self, log_id: LogId, after: Position, requests: &[CommandId]) -> Result<LockedHead, Error> {
        let (shared, transaction) = (Arc::clone(&self.store.shared), Arc::clone(&self.transaction));
        let (requests, clock) = (requests.to_vec(), self.store.clock.clone());
        let execution = async move {
            *transaction.lock().await = Some(Arc::clone(&shared.head_row).lock_owned().await);
            let tables = shared.tables.lock().unwrap();
            assert_eq!(tables.head.log_id, log_id);
            LockedHead {
                head: tables.head.clone(),
                epoch: Epoch(tables.epoch),
                clock: clock.now(),
                later: tables.events.iter().filter(|event| event.position > after).take(LATER_MAX).cloned().collect(),
                receipts: requests.iter().filter_map(|request| tables.receipts.get(request).cloned()).collect(),
            }
        };
        self.call(Call::LockHead, execution).await
    }

    async fn keep_alive(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn commit(&self, _: LogId, batch: &DecidedBatch, epoch: Epoch) -> Result<(), StoreFailure> {
        let (shared, transaction) = (Arc::clone(&self.store.shared), Arc::clone(&self.transaction));
        let statement = Statement::of(batch, epoch);
        let execution = async move {
            let mut lock = transaction.lock().await;
            assert!(lock.is_some(), "a commit is preceded by the lock");
            let is_stored = shared.execute(statement);
            *lock = None;
            is_stored
        };
        match self.call(Call::Commit, execution).await.map_err(failure)? {
            true => Ok(()),
            false => Err(StoreFailure::Refused(Error::OtherRoot { position: batch.base().0.position() })),
        }
    }

    async fn append(&self, _: LogId, batch: &DecidedBatch, epoch: Epoch) -> Result<bool, StoreFailure> {
        let (shared, statement) = (Arc::clone(&self.store.shared), Statement::of(batch, epoch));
        let execution = async move {
            let _lock = Arc::clone(&shared.head_row).lock_owned().await;
            shared.execute(statement)
        };
        self.call(Call::Append, execution).await.map_err(failure)
    }

    async fn fence(&self) -> Result<(), Error> {
        let (shared, transaction) = (Arc::clone(&self.store.shared), Arc::clone(&self.transaction));
        let execution = async move {
            let mut lock = transaction.lock().await;
            assert!(lock.is_some(), "the epoch is raised under the lock");
            shared.tables.lock().unwrap().epoch += 1;
            *lock = None;
        };
        self.call(Call::Fence, execution).await
    }

    async fn contains(&self, event: EventId) -> Result<bool, Error> {
        let shared = Arc::clone(&self.store.shared);
        let execution =
            async move { shared.tables.lock().unwrap().events.iter().any(|stored| stored.event_id == event) };
        self.call(Call::Contains, execution).await
    }

    async fn roll_back(&self) -> Result<(), Error> {
        let transaction = Arc::clone(&self.transaction);
        self.call(Call::RollBack, async move { *transaction.lock().await = None }).await
    }
}
