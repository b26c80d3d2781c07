//! Events as they stand in the table, with nothing read of them: what can't be an event is exported like the others, so that
//! whoever verifies the export finds it.

use std::pin::Pin;

use futures::TryStreamExt as _;
use replay::file::body;
use schema::digest::Digest;
use schema::position::Position;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, RowStream};

use super::database::{Error, in_time};
use super::reader::Reader;
use super::rows;

/// Events that one statement returns at most.
const PAGE_EVENTS: i64 = 1_000;
/// Leaves that one statement returns at most.
const PAGE_LEAVES: i64 = 50_000;

/// A row of the table.
#[derive(Debug)]
pub struct Stored(Row);

/// The events of one statement, as they come in.
pub struct Page(Pin<Box<RowStream>>);

/// Where a request begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first event.
    pub first: Position,
    /// Its last.
    pub last: Position,
}

impl Page {
    /// The next event, if there is one.
    ///
    /// # Errors
    /// If the log can't be read.
    pub async fn next(&mut self) -> Result<Option<Stored>, Error> {
        Ok(in_time(self.0.try_next()).await?.map(Stored))
    }
}

impl Stored {
    /// The row as a file holds it.
    ///
    /// # Errors
    /// If it has numbers that no event can have.
    pub fn row(&self) -> Result<body::Row<'_>, Error> {
        let position = self.position();
        let wrong = |why: String| Error::Row { position, why };
        let row = rows::event_row(&self.0).map_err(|error| wrong(error.to_string()))?;
        let out_of_range = |column: &str| wrong(format!("{column} is out of range"));
        Ok(body::Row {
            v: row.v.try_into().map_err(|_| out_of_range("v"))?,
            position: rows::unsigned(row.position),
            event_id: row.event_id.into_bytes(),
            command_id: row.command_id.into_bytes(),
            ordinal: row.ordinal.try_into().map_err(|_| out_of_range("ordinal"))?,
            count: row.count.try_into().map_err(|_| out_of_range("count"))?,
            entity: row.entity,
            version: rows::unsigned(row.version),
            event_type: row.event_type,
            actor: row.actor,
            reason: row.reason.unwrap_or_default(),
            at: row.at.unix_micros(),
            data: row.data,
            leaf: row.leaf.try_into().map_err(|_| out_of_range("leaf"))?,
        })
    }

    /// Where it stands.
    #[must_use]
    pub fn position(&self) -> Position {
        rows::unsigned(self.0.get("position")).into()
    }

    /// What happened.
    #[must_use]
    pub fn event_type(&self) -> &str {
        self.0.get("type")
    }

    /// The change as JSON text.
    #[must_use]
    pub fn data(&self) -> &str {
        self.0.get("data")
    }
}

impl Reader {
    /// The last position by the head's word, and the last that there is, at one instant.
    ///
    /// # Errors
    /// If the log can't be read.
    pub async fn ends(&self) -> Result<(Position, Position), Error> {
        let query = "SELECT position, (SELECT coalesce(max(position), 0) FROM event) FROM log_head";
        let rows = self.rows(query, &[]).await?;
        let row = rows.first().ok_or(Error::NotInstalled)?;
        Ok((rows::unsigned(row.get(0)).into(), rows::unsigned(row.get(1)).into()))
    }

    /// The next events after a position, as they stand in the table.
    ///
    /// # Errors
    /// If the log can't be read.
    pub async fn stored(&self, after: Position, up_to: Position) -> Result<Page, Error> {
        let columns = rows::select_list();
        let query = format!(
            "SELECT {columns} FROM event WHERE position > $1 AND position <= $2 ORDER BY position LIMIT {PAGE_EVENTS}"
        );
        let (after, up_to) = (rows::signed(after.get()), rows::signed(up_to.get()));
        let parameters: [&(dyn ToSql + Sync); 2] = [&after, &up_to];
        let client = self.client().await?;
        let stream = in_time(client.query_raw(&query, parameters)).await?;
        Ok(Page(Box::pin(stream)))
    }

    /// The request that the event at a position belongs to, by its own word; nothing if there is no such event.
    ///
    /// # Errors
    /// If the log can't be read.
    pub async fn request_of(&self, position: Position) -> Result<Option<Span>, Error> {
        let query = "SELECT position - ordinal + 1, position + count - ordinal FROM event WHERE position = $1";
        let rows = self.rows(query, &[&rows::signed(position.get())]).await?;
        let at = |row: &Row, column| Position::from(rows::unsigned(row.get(column)));
        Ok(rows.first().map(|row| Span { first: at(row, 0), last: at(row, 1) }))
    }

    /// The next leaves after a position, in their order; none if there are none up to `up_to`.
    ///
    /// # Errors
    /// If the log can't be read.
    pub async fn leaves(&self, after: Position, up_to: Position) -> Result<Vec<Digest>, Error> {
        let query = format!(
            "SELECT leaf FROM event WHERE position > $1 AND position <= $2 ORDER BY position LIMIT {PAGE_LEAVES}"
        );
        let found = self.rows(&query, &[&rows::signed(after.get()), &rows::signed(up_to.get())]).await?;
        let leaf = |row: &Row| {
            let wrong =
                |error| Error::Row { position: after.next(), why: format!("one of the leaves from here on: {error}") };
            Digest::try_from(row.get::<_, &[u8]>(0)).map_err(wrong)
        };
        found.iter().map(leaf).collect()
    }
}
