//! Reading the log: the head, pages of events, contents. Reads do not wait for writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use replay::log::Follower;
use schema::digest::Digest;
use schema::event::Event;
use schema::id::{CommandId, LogId};
use schema::instant::Instant;
use schema::position::Position;
use schema::seal::PublicKey;
use tokio::sync::Mutex;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::database::{Database, Error, in_time};
use super::rows;

/// The columns of the head row in the order in which [`head_of`] reads them.
pub(crate) const HEAD_COLUMNS: &str = "log_id, position, at, public_key, root";
/// PostgreSQL's clock, as a column named `clock`.
pub(crate) const CLOCK: &str = "clock_timestamp() AS clock";

/// Binary search for a time. Positions have no gap and times rise with them, so a few reads of the primary key are enough; an index by
/// time would cost every append something.
const POSITION_AT: &str = "\
    WITH RECURSIVE search (low, high) AS ( \
        SELECT 0::bigint, position FROM log_head \
        UNION ALL \
        SELECT CASE WHEN event.at <= $1 THEN event.position ELSE low END, \
               CASE WHEN event.at <= $1 THEN high ELSE event.position - 1 END \
        FROM search JOIN event ON event.position = (low + high + 1) / 2 WHERE low < high) \
    SELECT low FROM search WHERE low = high";

/// Nothing was appended before the year 1, and PostgreSQL does not know every time before it.
const EARLIEST: Instant = Instant::from_unix_micros(-62_135_596_800_000_000);

/// Reads the log over one connection, which is opened again when it broke.
#[derive(Clone, Debug)]
pub struct Reader {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    database: Database,
    head: Head,
    client: Mutex<Option<Arc<Client>>>,
}

/// The head of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Which log.
    pub log_id: LogId,
    /// Its last event.
    pub position: Position,
    /// When that was appended.
    pub at: Instant,
    /// The root of the tree over all events up to it.
    pub root: Digest,
    /// What the log's records are signed with.
    pub public_key: PublicKey,
}

/// Which events are wanted.
#[derive(Clone, Debug, Default)]
pub struct EventPage {
    /// Only those after this position.
    pub after: Position,
    /// Only those up to this position.
    pub up_to: Option<Position>,
    /// At most this many.
    pub limit: usize,
    /// The page ends with the first event with which `data` has more than this many bytes in total.
    pub bytes: Option<usize>,
    /// Only those of this entity.
    pub entity: Option<String>,
    /// Only those of this type.
    pub event_type: Option<String>,
}

impl Head {
    /// Whether this is the head of the log that was followed to its position.
    pub fn is_over(&self, follower: &Follower) -> Result<(), Error> {
        let (size, root) = (follower.frontier().size(), follower.frontier().root());
        if (size, root) == (self.position, self.root) {
            return Ok(());
        }
        Err(Error::OtherRoot { position: self.position })
    }
}

impl Reader {
    /// Opens the log of a database.
    ///
    /// # Errors
    /// If it can't be reached, or no log is installed in it.
    pub async fn open(database: Database) -> Result<Self, Error> {
        let client = database.connect("reader").await?;
        let head = head(&client, "").await?;
        let shared = Shared { database, head, client: Mutex::new(Some(Arc::new(client))) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The same log over another connection, for reads that are so large that others would wait for them.
    #[must_use]
    pub fn beside(&self) -> Self {
        let Shared { database, head, .. } = &*self.shared;
        let shared = Shared { database: database.clone(), head: head.clone(), client: Mutex::new(None) };
        Self { shared: Arc::new(shared) }
    }

    /// The id of the log.
    #[must_use]
    pub fn log_id(&self) -> LogId {
        self.shared.head.log_id
    }

    /// What the log's records are signed with.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.shared.head.public_key
    }

    /// Where the log is.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.shared.database
    }

    /// The role that reads, if it does not own the log's tables.
    ///
    /// # Errors
    /// If the log can't be read.
    pub async fn not_the_owner(&self) -> Result<Option<String>, Error> {
        let query = "SELECT current_user::text FROM pg_class \
                     WHERE oid = 'event'::regclass AND NOT pg_has_role(current_user, relowner, 'USAGE')";
        Ok(self.rows(query, &[]).await?.first().map(|row| row.get(0)))
    }

    /// The head as of now; an append may be under way.
    ///
    /// # Errors
    /// If the log can't be read, or is another one by now.
    pub async fn head(&self) -> Result<Head, Error> {
        let client = self.client().await?;
        self.same_log(self.heard(head(&client, "").await).await?)
    }

    /// The head as of now, and what PostgreSQL's clock says.
    ///
    /// # Errors
    /// If the log can't be read, or is another one by now.
    pub(crate) async fn head_and_clock(&self) -> Result<(Head, Instant), Error> {
        let rows = self.rows(&format!("SELECT {HEAD_COLUMNS}, {CLOCK} FROM log_head"), &[]).await;
        let rows = rows.map_err(Error::or_not_installed)?;
        let row = rows.first().ok_or(Error::NotInstalled)?;
        Ok((self.same_log(head_of(row)?)?, rows::instant(row.get("clock"))))
    }

    /// The head once nobody is appending: read under its row lock, which waits for an append that is under way.
    ///
    /// # Errors
    /// If the log can't be read, or is another one by now.
    pub async fn head_at_rest(&self) -> Result<Head, Error> {
        // In a session of its own: other reads must not wait behind this one.
        let client = self.shared.database.connect("head").await?;
        // The head must be durable: a transaction that locked a row waits at its end for all before it, unless synchronous_commit is off.
        let durable = "SELECT set_config('synchronous_commit', 'on', false) \
                       WHERE current_setting('synchronous_commit') = 'off'";
        in_time(client.batch_execute(durable)).await?;
        self.same_log(head(&client, "FOR UPDATE").await?)
    }

    fn same_log(&self, head: Head) -> Result<Head, Error> {
        if head.log_id == self.log_id() { Ok(head) } else { Err(Error::OtherLog) }
    }

    /// A page of events in the order of the log.
    ///
    /// # Errors
    /// If the log can't be read.
    pub async fn events(&self, page: EventPage) -> Result<Vec<Event>, Error> {
        let after = rows::signed(page.after.get());
        let up_to = page.up_to.map_or(i64::MAX, |position| rows::signed(position.get()));
        let limit = i64::try_from(page.limit).unwrap_or(i64::MAX);
        let mut wanted = String::from("position > $1 AND position <= $2");
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&after, &up_to, &limit];
        for (column, value) in [("entity", &page.entity), ("type", &page.event_type)] {
            if let Some(value) = value {
                parameters.push(value);
                wanted.push_str(&format!(" AND {column} = ${}", parameters.len()));
            }
        }
        let columns = rows::select_list();
        let mut query = format!("SELECT {columns} FROM event WHERE {wanted} ORDER BY position LIMIT $3");
        // PostgreSQL counts the bytes, so that events beyond the limit are not sent.
        let bytes = page.bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
        if let Some(bytes) = &bytes {
            parameters.push(bytes);
            query = format!(
                "SELECT {columns} FROM (SELECT *, sum(octet_length(data)) OVER (ORDER BY position ROWS BETWEEN UNBOUNDED \
                 PRECEDING AND 1 PRECEDING) AS before FROM ({query}) AS page) AS counted \
                 WHERE coalesce(before, 0) <= ${} ORDER BY position",
                parameters.len()
            );
        }
        let found = self.rows(&query, &parameters).await?;
        found.iter().map(|row| rows::event(self.log_id(), row)).collect()
    }

    /// The events at these positions, in the order of the log.
    ///
    /// # Errors
    /// If the log can't be read.
    pub async fn events_at(&self, positions: &[Position]) -> Result<Vec<Event>, Error> {
        let positions: Vec<i64> = positions.iter().map(|position| rows::signed(position.get())).collect();
        self.events_where("position = ANY($1)", &positions).await
    }

    /// The events of a request, in the order of the log.
    ///
    /// # Errors
    /// If the log can't be read.
    pub async fn events_of(&self, command_id: CommandId) -> Result<Vec<Event>, Error> {
        self.events_where("command_id = $1", &command_id.uuid()).await
    }

    /// The digest of the request that came under an idempotency key; `None` without a receipt.
    ///
    /// # Errors
    /// If the log can't be read.
    pub async fn fingerprint(&self, command_id: CommandId) -> Result<Option<Digest>, Error> {
        let rows = self.rows("SELECT fingerprint FROM receipt WHERE command_id = $1", &[&command_id.uuid()]).await?;
        Ok(rows.first().and_then(|row| Digest::try_from(row.get::<_, &[u8]>(0)).ok()))
    }

    async fn events_where(&self, wanted: &str, parameter: &(dyn ToSql + Sync)) -> Result<Vec<Event>, Error> {
        let query = format!("SELECT {} FROM event WHERE {wanted} ORDER BY position", rows::select_list());
        let found = self.rows(&query, &[parameter]).await?;
        found.iter().map(|row| rows::event(self.log_id(), row)).collect()
    }

    /// The stored contents with these digests; a missing one is left out.
    ///
    /// # Errors
    /// If the log can't be read.
    pub async fn contents(&self, digests: &[Digest]) -> Result<BTreeMap<Digest, Vec<u8>>, Error> {
        let wanted: Vec<&[u8]> = digests.iter().map(|digest| &digest.as_bytes()[..]).collect();
        let rows = self.rows("SELECT digest, bytes FROM blob WHERE digest = ANY($1)", &[&wanted]).await?;
        let named = |row: &Row| Some((Digest::try_from(row.get::<_, &[u8]>(0)).ok()?, row.get(1)));
        Ok(rows.iter().filter_map(named).collect())
    }

    /// Those of these digests whose stored bytes do not hash to them.
    ///
    /// # Errors
    /// If the log can't be read.
    pub async fn damaged(&self, digests: &[Digest]) -> Result<Vec<Digest>, Error> {
        let asked: Vec<&[u8]> = digests.iter().map(|digest| &digest.as_bytes()[..]).collect();
        let query = "SELECT digest FROM blob WHERE digest = ANY($1) AND sha256(bytes) <> digest";
        let rows = if asked.is_empty() { Vec::new() } else { self.rows(query, &[&asked]).await? };
        Ok(rows.iter().filter_map(|row| Digest::try_from(row.get::<_, &[u8]>(0)).ok()).collect())
    }

    /// The last position at or before a time, by rows that are not checked; 0 if there is none.
    pub(super) async fn search(&self, at: Instant) -> Result<Position, Error> {
        let rows = self.rows(POSITION_AT, &[&rows::time(at.max(EARLIEST))]).await?;
        let found = rows.first().ok_or_else(|| Error::Row {
            position: Position::ZERO,
            why: "an event is missing between the first and the head".into(),
        })?;
        Ok(rows::unsigned(found.get(0)).into())
    }

    pub(crate) async fn rows(&self, query: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Error> {
        let client = self.client().await?;
        let answer = in_time(client.query(query, parameters)).await;
        self.heard(answer).await
    }

    /// Closes the connection after a timeout.
    pub(super) async fn heard<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        if matches!(answer, Err(Error::Silent)) {
            *self.shared.client.lock().await = None;
        }
        answer
    }

    pub(super) async fn client(&self) -> Result<Arc<Client>, Error> {
        let mut held = self.shared.client.lock().await;
        if let Some(client) = held.as_ref().filter(|client| !client.is_closed()) {
            return Ok(Arc::clone(client));
        }
        let client = Arc::new(self.shared.database.connect("reader").await?);
        *held = Some(Arc::clone(&client));
        Ok(client)
    }
}

/// Reads the head row; `lock` is empty or a locking clause.
pub(crate) async fn head(client: &Client, lock: &str) -> Result<Head, Error> {
    let query = format!("SELECT {HEAD_COLUMNS} FROM log_head {lock}");
    let row = in_time(client.query_opt(&query, &[])).await.map_err(Error::or_not_installed)?;
    let row = row.ok_or(Error::NotInstalled)?;
    head_of(&row)
}

/// A row of [`HEAD_COLUMNS`].
pub(crate) fn head_of(row: &Row) -> Result<Head, Error> {
    let key: &[u8] = row.get(3);
    let root = Digest::try_from(row.get::<_, &[u8]>(4));
    let public_key = <[u8; 32]>::try_from(key).ok().and_then(|bytes| PublicKey::from_bytes(&bytes).ok());
    Ok(Head {
        log_id: row.get::<_, Uuid>(0).into(),
        position: rows::unsigned(row.get(1)).into(),
        at: rows::instant(row.get(2)),
        root: root.map_err(|_| Error::Migration("log_head holds no root".into()))?,
        public_key: public_key.ok_or_else(|| Error::Migration("log_head holds no valid public key".into()))?,
    })
}
