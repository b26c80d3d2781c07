//! One append as PostgreSQL executes it: a transaction of two round trips, or one statement.
//!
//! The first round trip locks the head row and then reads, in later statements, what others appended and which receipts there are. Under
//! READ COMMITTED each statement sees what was committed before it began, so only a statement after the lock sees everything up to the
//! head. The second round trip stores and commits. The statements of one trip are sent together, in the order in which their futures are
//! first polled (hence `biased`), and PostgreSQL executes them in that order.
//!
//! A batch that needs nothing to be read, and knows the head that it was decided against, is one statement: it stores all of the batch if
//! the head is that one, and nothing if it is not. No lock is held while the statement is on its way, so whoever does not get its answer
//! has to [fence](AppendSession::fence) it off.

use replay::log::Follower;
use schema::digest::Digest;
use schema::event::Event;
use schema::id::{CommandId, EventId, LogId};
use schema::instant::Instant;
use schema::position::Position;
use tokio_postgres::error::{DbError, Severity};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, Statement};
use uuid::Uuid;

use super::append_session::{AppendSession, AppendStore, Epoch, LockedHead, StoreFailure};
use super::batch::{DecidedBatch, RequestReceipt};
use super::database::{Database, Error, in_time};
use super::reader::{CLOCK, HEAD_COLUMNS, Head, Reader, head_of};
use super::rows;
use super::snapshots::Snapshots;
use super::statement::{self, Parameters};

/// Events that are read at most while the lock is held. A process that is further behind reads them without the lock first.
const CATCH_UP_EVENTS_MAX: i64 = 5_000;

impl AppendStore for Reader {
    type Session = PostgresAppendSession;

    fn log_id(&self) -> LogId {
        Self::log_id(self)
    }

    async fn connect(&self) -> Result<PostgresAppendSession, Error> {
        PostgresAppendSession::open(self.database()).await
    }

    async fn head(&self) -> Result<Head, Error> {
        Self::head(self).await
    }

    async fn head_and_clock(&self) -> Result<(Head, Instant), Error> {
        Self::head_and_clock(self).await
    }

    async fn follow(&self, follower: &mut Follower, up_to: Position, snapshots: &Snapshots) -> Result<(), Error> {
        self.follow_keeping(follower, up_to, Some(snapshots)).await
    }
}

/// A connection with the prepared statements of an append.
pub(crate) struct PostgresAppendSession {
    client: Client,
    lock: Statement,
    receipts: Statement,
    later: Statement,
    append: Statement,
}

impl PostgresAppendSession {
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

    async fn receipts(&self, requests: &[CommandId]) -> Result<Vec<Row>, tokio_postgres::Error> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let requests: Vec<Uuid> = requests.iter().map(CommandId::uuid).collect();
        self.client.query(&self.receipts, &[&requests]).await
    }

    /// Executes the storing statement. False if head or epoch are others than the batch expects, or PostgreSQL's clock is too far behind
    /// `clock`; nothing is stored then.
    async fn execute(
        &self,
        log_id: LogId,
        batch: &DecidedBatch,
        epoch: Epoch,
        clock: Option<Instant>,
    ) -> Result<bool, tokio_postgres::Error> {
        let parameters = Parameters::of(log_id, batch, epoch, clock);
        let row = self.client.query_one(&self.append, &parameters.all()).await?;
        Ok(row.get::<_, i64>(0) == 1)
    }
}

impl AppendSession for PostgresAppendSession {
    fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    async fn lock_head(&self, log_id: LogId, after: Position, requests: &[CommandId]) -> Result<LockedHead, Error> {
        let after = rows::signed(after.get());
        let after: [&(dyn ToSql + Sync); 2] = [&after, &CATCH_UP_EVENTS_MAX];
        let answers = async {
            let (begun, head, receipts, later) = tokio::join!(
                biased;
                self.client.batch_execute("BEGIN"),
                self.client.query_one(&self.lock, &[]),
                self.receipts(requests),
                self.client.query(&self.later, &after),
            );
            begun?;
            Ok((head?, receipts?, later?))
        };
        let (row, receipts, later) = in_time(answers).await?;
        let (head, epoch) = (head_of(&row)?, Epoch(row.get("turn")));
        if head.log_id != log_id {
            return Err(Error::OtherLog);
        }
        let later = later.iter().map(|row| rows::event(log_id, row)).collect::<Result<Vec<Event>, _>>()?;
        let receipts = receipts.iter().map(receipt).collect::<Result<_, _>>()?;
        Ok(LockedHead { head, epoch, clock: rows::instant(row.get("clock")), later, receipts })
    }

    /// A process that is frozen says nothing, and is cut off by `idle_in_transaction_session_timeout`.
    async fn keep_alive(&self) -> Result<(), Error> {
        in_time(self.client.batch_execute("SELECT")).await
    }

    /// The clocks that date the batch were compared with PostgreSQL's after the lock was taken, so the statement does not do it again.
    async fn commit(&self, log_id: LogId, batch: &DecidedBatch, epoch: Epoch) -> Result<(), StoreFailure> {
        let both = async {
            Ok(tokio::join!(biased; self.execute(log_id, batch, epoch, None), self.client.batch_execute("COMMIT")))
        };
        let (stored, committed) = in_time(both).await.map_err(StoreFailure::Unknown)?;
        if !stored.map_err(by_statement)? {
            // Nobody else can have moved the head.
            return Err(StoreFailure::Refused(Error::OtherRoot { position: batch.base().0.position() }));
        }
        committed.map_err(|error| StoreFailure::Unknown(error.into()))
    }

    async fn append(&self, log_id: LogId, batch: &DecidedBatch, epoch: Epoch) -> Result<bool, StoreFailure> {
        let stored = async { Ok(self.execute(log_id, batch, epoch, batch.clock()).await) };
        in_time(stored).await.map_err(StoreFailure::Unknown)?.map_err(by_statement)
    }

    async fn fence(&self) -> Result<(), Error> {
        in_time(self.client.batch_execute("UPDATE log_head SET turn = turn + 1; COMMIT")).await
    }

    async fn contains(&self, event: EventId) -> Result<bool, Error> {
        let query = "SELECT EXISTS (SELECT FROM event WHERE event_id = $1)";
        Ok(in_time(self.client.query_one(query, &[&event.uuid()])).await?.get(0))
    }

    async fn roll_back(&self) -> Result<(), Error> {
        in_time(self.client.batch_execute("ROLLBACK")).await
    }
}

/// The storing statement failed. If the server itself refused it and lives on, nothing of its transaction is stored: neither by the
/// statement alone nor by the COMMIT behind it.
fn by_statement(error: tokio_postgres::Error) -> StoreFailure {
    match error.as_db_error().and_then(DbError::parsed_severity) {
        Some(Severity::Error) => StoreFailure::Refused(error.into()),
        _ => StoreFailure::Unknown(error.into()),
    }
}

fn receipt(row: &Row) -> Result<RequestReceipt, Error> {
    let wrong = |why: String| Error::Row { position: Position::ZERO, why };
    let fingerprint: &[u8] = row.get(1);
    Ok(RequestReceipt {
        command_id: row.get::<_, Uuid>(0).into(),
        fingerprint: Digest::try_from(fingerprint).map_err(|error| wrong(error.to_string()))?,
        answer: serde_json::from_str(row.get(2)).map_err(|error| wrong(error.to_string()))?,
    })
}
