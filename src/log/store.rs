//! One append as PostgreSQL sees it: a transaction of two round trips, or of one.
//!
//! The first takes the head row's lock and reads, in statements after it, what others appended and which receipts there
//! are: under READ COMMITTED each statement sees what was committed before it, so only a statement after the lock sees
//! everything before the head. The second stores and commits. A batch that needs nothing looked up and knows which head it was
//! decided from takes the lock in the trip that stores it, and comes to nothing where the head is another one. Statements of one trip
//! are sent together, in the order in which their futures are first polled (hence `biased`), and PostgreSQL executes them in that order.

use schema::digest::Digest;
use schema::event::Event;
use schema::id::{CommandId, EventId, LogId};
use schema::position::Position;
use tokio_postgres::error::{DbError, Severity, SqlState};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, Statement};
use uuid::Uuid;

use super::batch::{Batch, Receipt};
use super::database::{Database, Error, in_time};
use super::reader::{HEAD_COLUMNS, Head};
use super::{rows, tree};

/// Events that one look behind the lock brings at most; whoever is further behind catches up without the lock first.
pub(crate) const CATCH_UP_EVENTS_MAX: i64 = 5_000;

/// A session that can append.
pub(crate) struct Store {
    client: Client,
    lock: Statement,
    expect: Statement,
    receipts: Statement,
    later: Statement,
    events: Statement,
    blobs: Statement,
    keep: Statement,
    head: Statement,
    nodes: Statement,
}

/// Who holds the head row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lock {
    /// This session does, since it was opened.
    Held,
    /// This session will, if the head of this log is what the batch was decided from.
    IfAt(LogId),
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

    /// The lock was not taken. Where the head is another one, that is all there is to it.
    fn before_lock(error: tokio_postgres::Error) -> Self {
        match error.code() {
            Some(&SqlState::T_R_SERIALIZATION_FAILURE) => Self { error: Error::Moved, is_certain: true },
            _ => Self::before_commit(error),
        }
    }

    /// A statement before the COMMIT failed. If the server itself refused it and lives on, the COMMIT was a rollback.
    fn before_commit(error: tokio_postgres::Error) -> Self {
        let refused = error.as_db_error().and_then(DbError::parsed_severity);
        Self { is_certain: refused == Some(Severity::Error), error: error.into() }
    }
}

/// What stands behind the lock.
pub(crate) struct Opened {
    /// The head.
    pub(crate) head: Head,
    /// Events after the position that was asked about.
    pub(crate) later: Vec<Event>,
    /// Receipts of the commands that were asked about.
    pub(crate) receipts: Vec<Receipt>,
}

impl Store {
    pub(crate) async fn open(database: &Database) -> Result<Self, Error> {
        let client = database.connect("appender").await?;
        let prepare = |query: String, types: &'static [Type]| {
            let client = &client;
            async move { in_time(client.prepare_typed(&query, types)).await.map_err(Error::or_not_installed) }
        };
        let columns = rows::COLUMNS;
        Ok(Self {
            lock: prepare(format!("SELECT {HEAD_COLUMNS} FROM log_head FOR UPDATE"), &[]).await?,
            expect: prepare("SELECT expect_head($1, $2, $3)".into(), &[Type::UUID, Type::INT8, Type::BYTEA]).await?,
            receipts: prepare(
                "SELECT command_id, fingerprint, answer::text FROM receipt WHERE command_id = ANY($1)".into(),
                &[Type::UUID_ARRAY],
            )
            .await?,
            later: prepare(
                format!("SELECT {columns} FROM event WHERE position > $1 ORDER BY position LIMIT $2"),
                &[Type::INT8, Type::INT8],
            )
            .await?,
            events: prepare(rows::INSERT.into(), rows::INSERT_TYPES).await?,
            blobs: prepare(
                "INSERT INTO blob (digest, bytes) SELECT * FROM unnest($1::bytea[], $2::bytea[]) \
                 ON CONFLICT (digest) DO NOTHING"
                    .into(),
                &[Type::BYTEA_ARRAY, Type::BYTEA_ARRAY],
            )
            .await?,
            keep: prepare(
                "INSERT INTO receipt (command_id, fingerprint, answer, at) \
                 SELECT command_id, fingerprint, answer::json, now() \
                 FROM unnest($1::uuid[], $2::bytea[], $3::text[]) AS new (command_id, fingerprint, answer)"
                    .into(),
                &[Type::UUID_ARRAY, Type::BYTEA_ARRAY, Type::TEXT_ARRAY],
            )
            .await?,
            head: prepare(
                "UPDATE log_head SET position = $1, at = $2, root = $3".into(),
                &[Type::INT8, Type::TIMESTAMPTZ, Type::BYTEA],
            )
            .await?,
            nodes: prepare(tree::INSERT.into(), tree::INSERT_TYPES).await?,
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
        let (head, receipts, later) = in_time(answers).await?;
        let head = super::reader::head_of(&head)?;
        if head.log_id != log_id {
            return Err(Error::OtherLog);
        }
        Ok(Opened {
            head,
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

    /// Stores a batch and commits, in one trip; or [`Error::Moved`], if the head is not where the lock wants it to be.
    pub(crate) async fn append(&self, batch: &Batch, lock: Lock) -> Result<(), NotStored> {
        let (locked, stored) = tokio::join!(
            biased;
            async {
                match lock {
                    Lock::Held => Ok(()),
                    Lock::IfAt(log_id) => self.expect(log_id, batch).await,
                }
            },
            Box::pin(self.commit(batch)),
        );
        locked.and(stored)
    }

    /// Begins the transaction, and takes the lock if the head is what a batch was decided from.
    async fn expect(&self, log_id: LogId, batch: &Batch) -> Result<(), NotStored> {
        let (state, edge) = batch.base();
        let (log_id, position, root) = (log_id.uuid(), rows::signed(state.position().get()), edge.root());
        let root: &[u8] = root.as_bytes();
        let head: [&(dyn ToSql + Sync); 3] = [&log_id, &position, &root];
        let locked = async {
            let (begun, locked) = tokio::join!(
                biased;
                self.client.batch_execute("BEGIN"),
                self.client.execute(&self.expect, &head),
            );
            Ok(begun.and(locked))
        };
        let locked = in_time(locked).await.map_err(NotStored::unknown)?;
        locked.map(drop).map_err(NotStored::before_lock)
    }

    async fn commit(&self, batch: &Batch) -> Result<(), NotStored> {
        let stored = async { Ok(tokio::join!(biased; self.store(batch), self.client.batch_execute("COMMIT"))) };
        let (stored, committed) = in_time(stored).await.map_err(NotStored::unknown)?;
        stored.map_err(NotStored::before_commit)?;
        committed.map_err(|error| NotStored::unknown(error.into()))
    }

    /// Sends all of a batch together, and waits for it. The first statement to fail is the cause; what follows it only says that the
    /// transaction is aborted.
    async fn store(&self, batch: &Batch) -> Result<(), tokio_postgres::Error> {
        let events = rows::Columns::of(&batch.events);
        let events = events.parameters();
        let (digests, contents): (Vec<&[u8]>, Vec<&[u8]>) =
            batch.contents.iter().map(|(digest, content)| (&digest.as_bytes()[..], &content.bytes()[..])).unzip();
        let commands: Vec<Uuid> = batch.receipts.iter().map(|receipt| receipt.command_id.uuid()).collect();
        let prints: Vec<&[u8]> = batch.receipts.iter().map(|receipt| &receipt.fingerprint.as_bytes()[..]).collect();
        let answers: Vec<String> = batch.receipts.iter().map(answer_text).collect();
        let position = rows::signed(batch.configuration.position().get());
        let at = rows::time(batch.configuration.at());
        let blobs: [&(dyn ToSql + Sync); 2] = [&digests, &contents];
        let receipts: [&(dyn ToSql + Sync); 3] = [&commands, &prints, &answers];
        let root = batch.growth.edge().root();
        let root: &[u8] = root.as_bytes();
        let head: [&(dyn ToSql + Sync); 3] = [&position, &at, &root];
        let nodes = tree::Columns::of(batch.growth.nodes());
        let nodes = nodes.parameters();
        let (blobs, events, receipts, head, nodes) = tokio::join!(
            biased;
            self.insert(&self.blobs, digests.len(), &blobs),
            self.insert(&self.events, batch.events.len(), &events),
            self.insert(&self.keep, commands.len(), &receipts),
            self.client.execute(&self.head, &head),
            // Few batches complete a subtree that is kept, and the others need not say so.
            self.insert(&self.nodes, batch.growth.nodes().len(), &nodes),
        );
        blobs.and(events).and(receipts).and(head).and(nodes).map(drop)
    }

    /// Inserts `rows` rows; none takes no statement.
    async fn insert(
        &self,
        statement: &Statement,
        rows: usize,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, tokio_postgres::Error> {
        if rows == 0 { Ok(0) } else { self.client.execute(statement, parameters).await }
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

fn answer_text(receipt: &Receipt) -> String {
    serde_json::to_string(&receipt.answer).expect("BUG: an answer has text keys and no failing serializer")
}
