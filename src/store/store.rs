//! One append as PostgreSQL sees it: a transaction of two round trips, or one statement.
//!
//! The first trip takes the head row's lock and reads, in statements after it, what others appended and which receipts there
//! are: under READ COMMITTED each statement sees what was committed before it, so only a statement after the lock sees
//! everything before the head. The second stores and commits. Statements of one trip are sent together, in the order in
//! which their futures are first polled (hence `biased`), and PostgreSQL executes them in that order.
//!
//! A batch that needs nothing looked up and knows the head that it was decided from is one statement: it stores everything if that
//! is the head, and nothing if it is not. Nobody holds a lock for it while it is on its way, so whoever misses it bars it.

use schema::digest::Digest;
use schema::event::Event;
use schema::id::{CommandId, EventId, LogId};
use schema::instant::Instant;
use schema::position::Position;
use tokio_postgres::error::{DbError, Severity};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, Statement};
use uuid::Uuid;

use super::batch::{Batch, Receipt};
use super::database::{Database, Error, in_time};
use super::reader::{CLOCK, HEAD_COLUMNS, Head, head_of};
use super::rows;
use super::statement::{self, Parameters, Turn};

/// Events that one look behind the lock brings at most; whoever is further behind catches up without the lock first.
pub(crate) const CATCH_UP_EVENTS_MAX: i64 = 5_000;

/// A session that can append.
pub(crate) struct Store {
    client: Client,
    lock: Statement,
    receipts: Statement,
    later: Statement,
    append: Statement,
}

/// Why a batch is not known to be stored.
pub(crate) struct NotStored {
    pub(crate) error: Error,
    /// Whether it certainly is not. Else only a look behind the lock tells.
    pub(crate) is_certain: bool,
}

impl NotStored {
    fn unknown(error: Error) -> Self {
        Self { error, is_certain: false }
    }

    /// The statement that stores failed. If the server itself refused it and lives on, nothing of its transaction is stored, be that
    /// the statement alone or what the COMMIT behind it was to end.
    fn by_statement(error: tokio_postgres::Error) -> Self {
        let refused = error.as_db_error().and_then(DbError::parsed_severity);
        Self { is_certain: refused == Some(Severity::Error), error: error.into() }
    }
}

/// What stands behind the lock.
pub(crate) struct Opened {
    /// The head.
    pub(crate) head: Head,
    /// Its turn.
    pub(crate) turn: Turn,
    /// What PostgreSQL's clock said.
    pub(crate) clock: Instant,
    /// Events after the position that was asked about.
    pub(crate) later: Vec<Event>,
    /// Receipts of the commands that were asked about.
    pub(crate) receipts: Vec<Receipt>,
}

impl Store {
    pub(crate) async fn open(database: &Database) -> Result<Self, Error> {
        let client = database.connect("appender").await?;
        let prepare = async |query: &str, types: &[Type]| {
            in_time(client.prepare_typed(query, types)).await.map_err(Error::or_not_installed)
        };
        let lock = format!("SELECT {HEAD_COLUMNS}, turn, {CLOCK} FROM log_head FOR UPDATE");
        let receipts = "SELECT command_id, fingerprint, answer::text FROM receipt WHERE command_id = ANY($1)";
        let columns = rows::select_list();
        let later = format!("SELECT {columns} FROM event WHERE position > $1 ORDER BY position LIMIT $2");
        Ok(Self {
            lock: prepare(&lock, &[]).await?,
            receipts: prepare(receipts, &[Type::UUID_ARRAY]).await?,
            later: prepare(&later, &[Type::INT8, Type::INT8]).await?,
            append: prepare(&statement::append(), &statement::types()).await?,
            client,
        })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Begins the transaction, takes the lock, and reads what stands behind it.
    pub(crate) async fn begin(&self, log_id: LogId, after: Position, commands: &[CommandId]) -> Result<Opened, Error> {
        let after = rows::signed(after.get());
        let after: [&(dyn ToSql + Sync); 2] = [&after, &CATCH_UP_EVENTS_MAX];
        let answers = async {
            let (begun, head, receipts, later) = tokio::join!(
                biased;
                self.client.batch_execute("BEGIN"),
                self.client.query_one(&self.lock, &[]),
                self.receipts(commands),
                self.client.query(&self.later, &after),
            );
            begun?;
            Ok((head?, receipts?, later?))
        };
        let (row, receipts, later) = in_time(answers).await?;
        let (head, turn) = (head_of(&row)?, Turn(row.get("turn")));
        if head.log_id != log_id {
            return Err(Error::OtherLog);
        }
        Ok(Opened {
            head,
            turn,
            clock: rows::instant(row.get("clock")),
            later: later.iter().map(|row| rows::event(log_id, row)).collect::<Result<_, _>>()?,
            receipts: receipts.iter().map(receipt).collect::<Result<_, _>>()?,
        })
    }

    async fn receipts(&self, commands: &[CommandId]) -> Result<Vec<Row>, tokio_postgres::Error> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let commands: Vec<Uuid> = commands.iter().map(CommandId::uuid).collect();
        self.client.query(&self.receipts, &[&commands]).await
    }

    /// Says that the transaction is in good hands, however long it is thought about. A process that is frozen says nothing,
    /// and is cut off by `idle_in_transaction_session_timeout`.
    pub(crate) async fn keep_alive(&self) -> Result<(), Error> {
        in_time(self.client.batch_execute("SELECT")).await
    }

    /// Stores a batch behind the lock, and commits. Behind it, the clocks that date the batch were held against PostgreSQL's already.
    pub(crate) async fn commit(&self, log_id: LogId, batch: &Batch, turn: Turn) -> Result<(), NotStored> {
        let both = async {
            Ok(tokio::join!(biased; self.stored(log_id, batch, turn, None), self.client.batch_execute("COMMIT")))
        };
        let (stored, committed) = in_time(both).await.map_err(NotStored::unknown)?;
        if !stored.map_err(NotStored::by_statement)? {
            // Nobody else can have moved it.
            let error = Error::OtherRoot { position: batch.base().0.position() };
            return Err(NotStored { error, is_certain: true });
        }
        committed.map_err(|error| NotStored::unknown(error.into()))
    }

    /// Stores a batch in one trip, without the lock. Where it is not known to be stored it may be on its way for long, and has to be
    /// looked up, and [barred](Store::bar) if it is not there. A batch that is dated ahead of PostgreSQL's clock is not stored either.
    pub(crate) async fn append(&self, log_id: LogId, batch: &Batch, turn: Turn) -> Result<(), NotStored> {
        let stored = async { Ok(self.stored(log_id, batch, turn, batch.clock()).await) };
        match in_time(stored).await.map_err(NotStored::unknown)?.map_err(NotStored::by_statement)? {
            true => Ok(()),
            false => Err(NotStored { error: Error::Moved, is_certain: true }),
        }
    }

    /// Whether the head was where the batch was decided from, and PostgreSQL's clock close to `clock` or later, so that all of it is
    /// stored.
    async fn stored(
        &self,
        log_id: LogId,
        batch: &Batch,
        turn: Turn,
        clock: Option<Instant>,
    ) -> Result<bool, tokio_postgres::Error> {
        let parameters = Parameters::of(log_id, batch, turn, clock);
        let row = self.client.query_one(&self.append, &parameters.all()).await?;
        Ok(row.get::<_, i64>(0) == 1)
    }

    /// Commits that no batch of an earlier turn is stored any more, whenever it arrives.
    pub(crate) async fn bar(&self) -> Result<(), Error> {
        in_time(self.client.batch_execute("UPDATE log_head SET turn = turn + 1; COMMIT")).await
    }

    /// Whether an event is stored. Certain only while the head row's lock is held.
    pub(crate) async fn holds(&self, event: EventId) -> Result<bool, Error> {
        let query = "SELECT EXISTS (SELECT FROM event WHERE event_id = $1)";
        Ok(in_time(self.client.query_one(query, &[&event.uuid()])).await?.get(0))
    }

    /// Ends the transaction without a trace.
    pub(crate) async fn roll_back(&self) -> Result<(), Error> {
        in_time(self.client.batch_execute("ROLLBACK")).await
    }
}

fn receipt(row: &Row) -> Result<Receipt, Error> {
    let wrong = |why: String| Error::Row { position: Position::ZERO, why };
    let fingerprint: &[u8] = row.get(1);
    Ok(Receipt {
        command_id: row.get::<_, Uuid>(0).into(),
        fingerprint: Digest::try_from(fingerprint).map_err(|error| wrong(error.to_string()))?,
        answer: serde_json::from_str(row.get(2)).map_err(|error| wrong(error.to_string()))?,
    })
}
