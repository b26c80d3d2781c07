//! Events as rows of table `event`, and back, without losing a byte. Everything follows from the list of columns in
//! [`schema::event_table`].

use std::error::Error as StdError;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use schema::event::Event;
use schema::event_table::{
    ColumnError, ColumnReader, ColumnValue, EVENT_COLUMNS, EventColumn, EventRow, SqlType, event_values,
};
pub(crate) use schema::event_table::{from_bigint as unsigned, to_bigint as signed};
use schema::id::LogId;
use schema::instant::Instant;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use super::database::Error;

/// The columns by name, separated by commas.
pub(crate) fn column_list() -> String {
    list(|column| column.name.to_owned())
}

/// The columns as [`event`] reads them. `data` is selected as text: parsing it would lose its spelling.
pub(crate) fn select_list() -> String {
    list(|column| cast(column, "text"))
}

/// JSON is sent and read as text.
fn cast(column: &EventColumn, json_as: &str) -> String {
    match column.sql {
        SqlType::json => format!("{}::{json_as}", column.name),
        _ => column.name.to_owned(),
    }
}

fn list(of_column: impl Fn(&EventColumn) -> String) -> String {
    EVENT_COLUMNS.iter().map(of_column).collect::<Vec<_>>().join(", ")
}

/// Inserts any number of events in one statement, in their order; nothing unless `condition` holds, an SQL clause or no text.
/// Its parameters are one array for each column, from number 1 on.
pub(crate) fn insert(condition: &str) -> String {
    let (columns, typed) = (column_list(), list(|column| cast(column, "json")));
    let array = |(index, column): (usize, &EventColumn)| format!("${}::{}[]", index + 1, element(column.sql).name());
    let arrays = EVENT_COLUMNS.iter().enumerate().map(array).collect::<Vec<_>>().join(", ");
    format!(
        "INSERT INTO event ({columns}) \
         SELECT * FROM (SELECT {typed} FROM unnest({arrays}) AS new ({columns})) AS typed {condition} ORDER BY position"
    )
}

/// The types of the parameters of [`insert`].
pub(crate) fn insert_types() -> Vec<Type> {
    EVENT_COLUMNS.iter().map(|column| array_of(&element(column.sql))).collect()
}

/// The type in which a value is sent.
fn element(sql: SqlType) -> Type {
    match sql {
        SqlType::smallint => Type::INT2,
        SqlType::integer => Type::INT4,
        SqlType::bigint => Type::INT8,
        SqlType::uuid => Type::UUID,
        SqlType::text | SqlType::nullable_text | SqlType::json => Type::TEXT,
        SqlType::timestamptz => Type::TIMESTAMPTZ,
        SqlType::bytea => Type::BYTEA,
    }
}

fn array_of(element: &Type) -> Type {
    match *element {
        Type::INT2 => Type::INT2_ARRAY,
        Type::INT4 => Type::INT4_ARRAY,
        Type::INT8 => Type::INT8_ARRAY,
        Type::UUID => Type::UUID_ARRAY,
        Type::TIMESTAMPTZ => Type::TIMESTAMPTZ_ARRAY,
        Type::BYTEA => Type::BYTEA_ARRAY,
        _ => Type::TEXT_ARRAY,
    }
}

/// Events column by column, as [`insert`] takes them.
pub(crate) struct EventColumns<'a>(Vec<Vec<SqlValue<'a>>>);

impl<'a> EventColumns<'a> {
    /// Turns events into columns.
    pub(crate) fn of(events: &'a [Event]) -> Self {
        let mut columns: Vec<_> = EVENT_COLUMNS.iter().map(|_| Vec::with_capacity(events.len())).collect();
        for event in events {
            columns.iter_mut().zip(event_values(event)).for_each(|(column, value)| column.push(SqlValue(value)));
        }
        Self(columns)
    }

    /// The parameters of [`insert`].
    pub(crate) fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.0.iter().map(|column| column as &(dyn ToSql + Sync)).collect()
    }
}

/// A value as a parameter.
#[derive(Debug)]
struct SqlValue<'a>(ColumnValue<'a>);

impl ToSql for SqlValue<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match &self.0 {
            ColumnValue::smallint(value) => value.to_sql(ty, out),
            ColumnValue::integer(value) => value.to_sql(ty, out),
            ColumnValue::bigint(value) => value.to_sql(ty, out),
            ColumnValue::uuid(value) => value.to_sql(ty, out),
            ColumnValue::text(value) => value.to_sql(ty, out),
            ColumnValue::nullable_text(value) => value.to_sql(ty, out),
            ColumnValue::timestamptz(value) => time(*value).to_sql(ty, out),
            ColumnValue::json(value) => value.to_sql(ty, out),
            ColumnValue::bytea(value) => value.to_sql(ty, out),
        }
    }

    /// The types that [`element`] gives. Each value has the type of its column, as both stand in one line of the table.
    fn accepts(ty: &Type) -> bool {
        EVENT_COLUMNS.iter().any(|column| element(column.sql) == *ty)
    }

    to_sql_checked!();
}

/// A row of [`select_list`] as an event.
pub(crate) fn event(log_id: LogId, row: &Row) -> Result<Event, Error> {
    let wrong = |error: ColumnError| Error::Row {
        position: row.try_get(0).map(unsigned).unwrap_or_default().into(),
        why: error.to_string(),
    };
    event_row(row).map_err(wrong)?.into_event(log_id).map_err(wrong)
}

/// A row of [`select_list`] with its values as they are.
pub(crate) fn event_row(row: &Row) -> Result<EventRow<'_>, ColumnError> {
    EventRow::read(&mut QueryRow { row, next: 0 })
}

/// Reads the columns of a query's result from left to right.
struct QueryRow<'a> {
    row: &'a Row,
    next: usize,
}

impl<'a> QueryRow<'a> {
    fn value<T: FromSql<'a>>(&mut self, column: &'static str) -> Result<T, ColumnError> {
        let index = self.next;
        self.next += 1;
        self.row.try_get(index).map_err(|error| ColumnError { column, why: error.to_string() })
    }
}

impl<'a> ColumnReader<'a> for QueryRow<'a> {
    type Error = ColumnError;

    fn smallint(&mut self, column: &'static str) -> Result<i16, ColumnError> {
        self.value(column)
    }

    fn integer(&mut self, column: &'static str) -> Result<i32, ColumnError> {
        self.value(column)
    }

    fn bigint(&mut self, column: &'static str) -> Result<i64, ColumnError> {
        self.value(column)
    }

    fn uuid(&mut self, column: &'static str) -> Result<Uuid, ColumnError> {
        self.value(column)
    }

    fn text(&mut self, column: &'static str) -> Result<&'a str, ColumnError> {
        self.value(column)
    }

    fn nullable_text(&mut self, column: &'static str) -> Result<Option<&'a str>, ColumnError> {
        self.value(column)
    }

    fn timestamptz(&mut self, column: &'static str) -> Result<Instant, ColumnError> {
        self.value(column).map(instant)
    }

    fn json(&mut self, column: &'static str) -> Result<&'a str, ColumnError> {
        self.value(column)
    }

    fn bytea(&mut self, column: &'static str) -> Result<&'a [u8], ColumnError> {
        self.value(column)
    }
}

pub(crate) fn time(at: Instant) -> SystemTime {
    let micros = at.unix_micros();
    let distance = Duration::from_micros(micros.unsigned_abs());
    if micros >= 0 { UNIX_EPOCH + distance } else { UNIX_EPOCH - distance }
}

pub(crate) fn instant(time: SystemTime) -> Instant {
    let micros = |distance: Duration| i64::try_from(distance.as_micros()).unwrap_or(i64::MAX);
    Instant::from_unix_micros(match time.duration_since(UNIX_EPOCH) {
        Ok(since) => micros(since),
        Err(before) => -micros(before.duration()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_insert_takes_one_array_for_each_column_and_stores_json_as_json() {
        let columns =
            "position, event_id, command_id, ordinal, count, entity, version, type, v, actor, reason, at, data, leaf";
        let expected = format!(
            "INSERT INTO event ({columns}) SELECT * FROM (SELECT {} FROM unnest($1::int8[], $2::uuid[], $3::uuid[], \
             $4::int4[], $5::int4[], $6::text[], $7::int8[], $8::text[], $9::int2[], $10::text[], $11::text[], \
             $12::timestamptz[], $13::text[], $14::bytea[]) AS new ({columns})) AS typed WHERE true ORDER BY position",
            columns.replace("data", "data::json")
        );
        assert_eq!(insert("WHERE true"), expected);
        assert_eq!(select_list(), columns.replace("data", "data::text"));
    }
}
