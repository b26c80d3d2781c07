//! Raw rows of table `event`: a row that is not a valid event is exported like the others, so that the verification of the export finds
//! it.

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

/// A row, which need not be a valid event.
#[derive(Debug)]
pub struct RawRow(Row);

/// The rows of one statement, as they arrive.
pub struct RawPage(Pin<Box<RowStream>>);

/// The first and the last event of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestSpan {
    /// Its first event.
    pub first: Position,
    /// Its last.
    pub last: Position,
}

impl RawPage {
    /// The next row, if there is one.
    ///
    /// # Errors
    /// If the log can't be read.
    pub async fn next(&mut self) -> Result<Option<RawRow>, Error> {
        Ok(in_time(self.0.try_next()).await?.map(RawRow))
    }
}

impl RawRow {
    /// The row in the form of an export.
    ///
    /// # Errors
    /// If it has a number that no event can have.
    pub fn row(&self) -> Result<body::ExportRow<'_>, Error> {
        let position = self.position();
        let wrong = |why: String| Error::Row { position, why };
        let row = rows::event_row(&self.0).map_err(|error| wrong(error.to_string()))?;
        let out_of_range = |column: &str| wrong(format!("{column} is out of range"));
        Ok(body::ExportRow {
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
    /// The last position according to the head row, and the last position in the table, read at the same time.
    ///
    /// # Errors
    /// If the log can't be read.
    pub async fn ends(&self) -> Result<(Position, Position), Error> {
        let query = "SELECT position, (SELECT coalesce(max(position), 0) FROM event) FROM log_head";
        let rows = self.rows(query, &[]).await?;
        let row = rows.first().ok_or(Error::NotInstalled)?;
        Ok((rows::unsigned(row.get(0)).into(), rows::unsigned(row.get(1)).into()))
    }

    /// The next rows after a position.
    ///
    /// # Errors
    /// If the log can't be read.
    pub async fn raw_rows(&self, after: Position, up_to: Position) -> Result<RawPage, Error> {
        let columns = rows::select_list();
        let query = format!(
            "SELECT {columns} FROM event WHERE position > $1 AND position <= $2 ORDER BY position LIMIT {PAGE_EVENTS}"
        );
        let (after, up_to) = (rows::signed(after.get()), rows::signed(up_to.get()));
        let parameters: [&(dyn ToSql + Sync); 2] = [&after, &up_to];
        let client = self.client().await?;
        let stream = in_time(client.query_raw(&query, parameters)).await?;
        Ok(RawPage(Box::pin(stream)))
    }

    /// The request of the event at a position, by its unchecked row; `None` without such an event.
    ///
    /// # Errors
    /// If the log can't be read.
    pub async fn request_of(&self, position: Position) -> Result<Option<RequestSpan>, Error> {
        let query = "SELECT position - ordinal + 1, position + count - ordinal FROM event WHERE position = $1";
        let rows = self.rows(query, &[&rows::signed(position.get())]).await?;
        let at = |row: &Row, column| Position::from(rows::unsigned(row.get(column)));
        Ok(rows.first().map(|row| RequestSpan { first: at(row, 0), last: at(row, 1) }))
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
