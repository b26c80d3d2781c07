//! The reader of COPY: events in pages of bytes, which are read on the connection and decoded on other threads.
//!
//! Always: a page is read to its end before it is decoded, because a statement that waits for the decoding would run into its timeout.
//! The bytes of a page are bounded, except for its last row. A row that can't be decoded is an error with its position.
//!
//! Absent on purpose: any check of an event beyond its shape.

use futures::TryStreamExt as _;
use schema::event::Event;
use schema::event_table::{ColumnError, ColumnReader, EVENT_COLUMNS, EventRow};
use schema::id::LogId;
use schema::instant::{Instant, POSTGRES_EPOCH_MICROS};
use schema::position::Position;
use uuid::Uuid;

use super::database::{Error, in_time};
use super::reader::Reader;
use super::rows;

/// Bytes of a page, unless its last row alone has more.
const PAGE_BYTES: usize = 2 * 1024 * 1024;
/// Events of a page at most.
const PAGE_EVENTS: usize = 4_000;
/// Columns of a row. JSON is copied as the text that it is.
const COLUMNS_COUNT: usize = EVENT_COLUMNS.len();

/// The first bytes of a COPY; flags and a header extension follow, which are always zero.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Bytes before the first row.
const HEADER_BYTES: usize = SIGNATURE.len() + 8;

/// The undecoded events between two positions, as many as fit.
#[derive(Debug)]
pub(super) struct CopyPage {
    after: Position,
    up_to: Position,
    bytes: Vec<u8>,
}

/// How many events the next page asks for. It follows from the size of the events in the page before.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageSize(usize);

impl Default for PageSize {
    fn default() -> Self {
        Self(PAGE_EVENTS)
    }
}

impl Reader {
    /// The events of the next positions, as many as `measure` says and not beyond `up_to`.
    ///
    /// Both ends are given as positions: with LIMIT, a planner without statistics sorts the rest of the table for each page.
    pub(super) async fn copy_page(
        &self,
        after: Position,
        up_to: Position,
        measure: PageSize,
    ) -> Result<CopyPage, Error> {
        let up_to = up_to.min((after.get() + measure.0 as u64).into());
        let (first, last) = (rows::signed(after.get()), rows::signed(up_to.get()));
        let columns = rows::column_list();
        let query = format!(
            "COPY (SELECT {columns} FROM event WHERE position > {first} AND position <= {last} ORDER BY position) \
             TO STDOUT (FORMAT binary)"
        );
        let client = self.client().await?;
        let copied = in_time(async {
            let mut copy = Box::pin(client.copy_out(&query).await?);
            let mut bytes = Vec::new();
            while bytes.len() < PAGE_BYTES
                && let Some(rows) = copy.try_next().await?
            {
                bytes.extend_from_slice(&rows);
            }
            Ok(bytes)
        });
        let bytes = self.heard(copied.await).await?;
        Ok(CopyPage { after, up_to, bytes })
    }
}

impl CopyPage {
    /// Where the next page begins, and how many events it may ask for.
    pub(super) fn end(&self) -> Result<(Position, PageSize), Error> {
        let (mut last, mut count) = (self.after, 0);
        for row in self.rows() {
            let row = row.map_err(|why| self.unreadable(why))?;
            last = row.position().map_err(|error| self.unreadable(&error.to_string()))?;
            count += 1;
        }
        let each = self.bytes.len().div_ceil(count.max(1));
        let measure = PageSize((PAGE_BYTES / each).clamp(1, PAGE_EVENTS));
        // Events that are missing at the end of a whole page are missing in the table; folding the next page detects it.
        let is_whole = self.bytes.len() < PAGE_BYTES;
        Ok((if is_whole { self.up_to } else { last }, measure))
    }

    /// The events, or why a row is none.
    pub(super) fn events(&self, log_id: LogId) -> impl Iterator<Item = Result<Event, Error>> {
        self.rows().map(move |row| row.map_err(|why| self.unreadable(why))?.event(log_id))
    }

    fn rows(&self) -> Rows<'_> {
        // Without the right header this is no COPY, and its first row is an error.
        let is_copy = self.bytes.starts_with(SIGNATURE);
        Rows(self.bytes.get(HEADER_BYTES..).filter(|_| is_copy).unwrap_or(&[0]))
    }

    fn unreadable(&self, why: &str) -> Error {
        Error::Row { position: self.after.next(), why: format!("one of the rows from here on: {why}") }
    }
}

/// The rows, up to the first that can't be separated from the next.
struct Rows<'a>(&'a [u8]);

/// A row's columns; `None` is null.
struct Row<'a>([Option<&'a [u8]>; COLUMNS_COUNT]);

type Why = &'static str;

impl<'a> Iterator for Rows<'a> {
    type Item = Result<Row<'a>, Why>;

    fn next(&mut self) -> Option<Self::Item> {
        // A page that ended early has no trailer.
        if self.0.is_empty() || self.0 == (-1_i16).to_be_bytes() {
            return None;
        }
        let row = Row::take(&mut self.0);
        if row.is_err() {
            self.0 = &[];
        }
        Some(row)
    }
}

impl<'a> Row<'a> {
    fn take(rest: &mut &'a [u8]) -> Result<Self, Why> {
        const CUT: Why = "it is cut";
        let count = i16::from_be_bytes(taken(rest).ok_or(CUT)?);
        if usize::try_from(count) != Ok(COLUMNS_COUNT) {
            return Err("it has another number of columns");
        }
        let mut columns = [None; COLUMNS_COUNT];
        for column in &mut columns {
            let length = i32::from_be_bytes(taken(rest).ok_or(CUT)?);
            // A length of -1 means null.
            if let Ok(length) = usize::try_from(length) {
                *column = Some(rest.split_off(..length).ok_or(CUT)?);
            }
        }
        Ok(Self(columns))
    }

    fn position(&self) -> Result<Position, ColumnError> {
        Ok(rows::unsigned(self.values().bigint("position")?).into())
    }

    fn event(&self, log_id: LogId) -> Result<Event, Error> {
        let wrong =
            |error: ColumnError| Error::Row { position: self.position().unwrap_or_default(), why: error.to_string() };
        EventRow::read(&mut self.values()).map_err(wrong)?.into_event(log_id).map_err(wrong)
    }

    fn values(&self) -> CopyValues<'_, 'a> {
        CopyValues(self.0.iter())
    }
}

/// Reads the columns of a row from left to right.
struct CopyValues<'r, 'a>(std::slice::Iter<'r, Option<&'a [u8]>>);

impl<'a> CopyValues<'_, 'a> {
    fn nullable(&mut self) -> Option<&'a [u8]> {
        self.0.next().copied().flatten()
    }

    fn fixed<const N: usize>(&mut self, column: &'static str) -> Result<[u8; N], ColumnError> {
        self.bytea(column)?.try_into().map_err(|_| unreadable(column, "it has another length"))
    }
}

fn unreadable(column: &'static str, why: Why) -> ColumnError {
    ColumnError { column, why: why.into() }
}

fn utf8<'a>(column: &'static str, bytes: &'a [u8]) -> Result<&'a str, ColumnError> {
    std::str::from_utf8(bytes).map_err(|_| unreadable(column, "it is not in UTF-8"))
}

impl<'a> ColumnReader<'a> for CopyValues<'_, 'a> {
    type Error = ColumnError;

    fn smallint(&mut self, column: &'static str) -> Result<i16, ColumnError> {
        self.fixed(column).map(i16::from_be_bytes)
    }

    fn integer(&mut self, column: &'static str) -> Result<i32, ColumnError> {
        self.fixed(column).map(i32::from_be_bytes)
    }

    fn bigint(&mut self, column: &'static str) -> Result<i64, ColumnError> {
        self.fixed(column).map(i64::from_be_bytes)
    }

    fn uuid(&mut self, column: &'static str) -> Result<Uuid, ColumnError> {
        self.fixed(column).map(Uuid::from_bytes)
    }

    fn text(&mut self, column: &'static str) -> Result<&'a str, ColumnError> {
        utf8(column, self.bytea(column)?)
    }

    fn nullable_text(&mut self, column: &'static str) -> Result<Option<&'a str>, ColumnError> {
        self.nullable().map(|bytes| utf8(column, bytes)).transpose()
    }

    fn timestamptz(&mut self, column: &'static str) -> Result<Instant, ColumnError> {
        let micros = self.bigint(column)?.saturating_add(POSTGRES_EPOCH_MICROS);
        Ok(Instant::from_unix_micros(micros))
    }

    fn json(&mut self, column: &'static str) -> Result<&'a str, ColumnError> {
        self.text(column)
    }

    fn bytea(&mut self, column: &'static str) -> Result<&'a [u8], ColumnError> {
        self.nullable().ok_or_else(|| unreadable(column, "it is null"))
    }
}

fn taken<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    rest.split_off(..N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use schema::digest::Digest;

    use super::*;

    type Columns = [Option<Vec<u8>>; COLUMNS_COUNT];

    fn columns() -> Columns {
        [
            Some(7_i64.to_be_bytes().into()),
            Some([1; 16].into()),
            Some([2; 16].into()),
            Some(1_i32.to_be_bytes().into()),
            Some(2_i32.to_be_bytes().into()),
            Some(b"node/n".into()),
            Some(3_i64.to_be_bytes().into()),
            Some(b"NodeRetried".into()),
            Some(1_i16.to_be_bytes().into()),
            Some(b"system/install".into()),
            None,
            Some(1_i64.to_be_bytes().into()),
            Some(b"{}".into()),
            Some([9; 32].into()),
        ]
    }

    fn page(rows: &[Columns]) -> CopyPage {
        let mut bytes = [SIGNATURE, &[0; 8]].concat();
        for row in rows {
            bytes.extend(14_i16.to_be_bytes());
            for column in row {
                bytes.extend(column.as_ref().map_or(-1, |value| i32::try_from(value.len()).unwrap()).to_be_bytes());
                bytes.extend(column.iter().flatten());
            }
        }
        bytes.extend((-1_i16).to_be_bytes());
        CopyPage { after: 6.into(), up_to: 10.into(), bytes }
    }

    fn events(page: &CopyPage) -> Vec<Result<Event, Error>> {
        page.events(Uuid::nil().into()).collect()
    }

    #[test]
    fn a_row_becomes_the_event_that_it_is() {
        let mut reasoned = columns();
        reasoned[0] = Some(8_i64.to_be_bytes().into());
        reasoned[10] = Some(b"why".into());
        let page = page(&[columns(), reasoned]);
        let found = events(&page);
        let event = found[0].as_ref().unwrap();
        assert_eq!((event.position, event.version, event.v), (7.into(), 3.into(), 1));
        assert_eq!((event.ordinal, event.count, event.reason.as_deref()), (1, 2, None));
        assert_eq!(
            (event.event_id.uuid(), event.command_id.uuid()),
            (Uuid::from_bytes([1; 16]), Uuid::from_bytes([2; 16]))
        );
        assert_eq!((event.entity.to_string(), event.actor.to_string()), ("node/n".into(), "system/install".into()));
        assert_eq!((event.event_type.as_str(), event.data.as_str()), ("NodeRetried", "{}"));
        assert_eq!(event.at.to_string(), "2000-01-01T00:00:00.000001Z");
        assert_eq!(event.leaf, Digest::from_bytes([9; 32]));
        assert_eq!(found[1].as_ref().unwrap().reason.as_deref(), Some("why"));
        assert_eq!(page.end().unwrap().0, 10.into(), "a page with room left is over where it was to end");
    }

    #[test]
    fn a_page_that_is_full_goes_on_behind_its_last_row_with_as_many_as_fit() {
        let mut large = columns();
        large[12] = Some(vec![b' '; PAGE_BYTES / 2]);
        let (next, measure) = page(&[large.clone(), large]).end().unwrap();
        assert_eq!((next, measure.0), (7.into(), 1));
    }

    #[test]
    fn what_is_no_event_is_named_by_its_position() {
        let wrong: [(usize, Option<Vec<u8>>); 7] = [
            (1, Some(vec![1; 15])),
            (3, Some((-1_i32).to_be_bytes().into())),
            (5, Some(b"mars".into())),
            (5, None),
            (8, Some((-1_i16).to_be_bytes().into())),
            (12, Some(vec![0xff])),
            (13, Some(vec![9; 31])),
        ];
        for (column, value) in wrong {
            let mut row = columns();
            row[column] = value;
            let found = events(&page(&[row]));
            assert!(
                matches!(found[..], [Err(Error::Row { position, .. })] if position == 7.into()),
                "{column}: {found:?}"
            );
        }
    }

    #[test]
    fn a_page_that_is_cut_within_a_row_is_not_taken_for_a_shorter_one() {
        let whole = page(&[columns(), columns()]);
        let row = (whole.bytes.len() - HEADER_BYTES - 2) / 2;
        for length in 0..whole.bytes.len() - 2 {
            let cut = CopyPage { bytes: whole.bytes[..length].into(), ..page(&[]) };
            let is_whole = length >= HEADER_BYTES && (length - HEADER_BYTES).is_multiple_of(row);
            assert_eq!(events(&cut).iter().all(Result::is_ok), is_whole, "{length}");
        }
    }
}
