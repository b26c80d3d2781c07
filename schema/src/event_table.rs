//! The columns of table `event`: the only list of them in the code.
//!
//! Each line of the table gives a column's name, its SQL type, its value from an [`Event`] and back. The INSERT of a batch and the
//! types of its parameters, the reader of query results, the reader of COPY and the reader of logical replication all follow from
//! these lines. `schema/sql` creates the table; a test compares the two.
//!
//! Absent on purpose: how PostgreSQL encodes a value. Each reader implements [`ColumnReader`] for its own source.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};

use uuid::Uuid;

use crate::digest::Digest;
use crate::entity::Entity;
use crate::event::Event;
use crate::id::LogId;
use crate::instant::Instant;

/// The type of a column.
#[expect(non_camel_case_types, reason = "they are named as in SQL")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqlType {
    /// 16 bits.
    smallint,
    /// 32 bits.
    integer,
    /// 64 bits.
    bigint,
    /// A UUID.
    uuid,
    /// Text that is never null.
    text,
    /// Text or null.
    nullable_text,
    /// A time in microseconds.
    timestamptz,
    /// JSON that keeps its text byte for byte.
    json,
    /// Bytes.
    bytea,
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct EventColumn {
    /// Its name in SQL.
    pub name: &'static str,
    /// Its type.
    pub sql: SqlType,
}

/// The values of one row, asked for in the order of [`EVENT_COLUMNS`]. Texts and bytes are borrowed from the row.
#[expect(missing_docs, reason = "each method is named after the SQL type that it reads")]
pub trait ColumnReader<'a> {
    /// Why a value can't be read.
    type Error;

    fn smallint(&mut self, column: &'static str) -> Result<i16, Self::Error>;
    fn integer(&mut self, column: &'static str) -> Result<i32, Self::Error>;
    fn bigint(&mut self, column: &'static str) -> Result<i64, Self::Error>;
    fn uuid(&mut self, column: &'static str) -> Result<Uuid, Self::Error>;
    fn text(&mut self, column: &'static str) -> Result<&'a str, Self::Error>;
    fn nullable_text(&mut self, column: &'static str) -> Result<Option<&'a str>, Self::Error>;
    fn timestamptz(&mut self, column: &'static str) -> Result<Instant, Self::Error>;
    fn json(&mut self, column: &'static str) -> Result<&'a str, Self::Error>;
    fn bytea(&mut self, column: &'static str) -> Result<&'a [u8], Self::Error>;
}

/// A value to store in a column, by the column's type.
#[expect(non_camel_case_types, missing_docs, reason = "they are named as in SQL")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnValue<'a> {
    smallint(i16),
    integer(i32),
    bigint(i64),
    uuid(Uuid),
    text(Cow<'a, str>),
    nullable_text(Option<&'a str>),
    timestamptz(Instant),
    json(&'a str),
    bytea(&'a [u8]),
}

/// A value that has the right SQL type and that no event can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column} can't be read: {why}")]
pub struct ColumnError {
    /// The column's name.
    pub column: &'static str,
    /// What is wrong with the value.
    pub why: String,
}

macro_rules! event_table {
    (($event:ident, $value:ident) $($field:ident: $type:ty = $sql:ident($name:literal), $write:expr => $read:expr;)*) => {
        /// The columns, in the order of every list of columns in SQL.
        pub const EVENT_COLUMNS: &[EventColumn] = &[$(EventColumn { name: $name, sql: SqlType::$sql }),*];

        /// A row as PostgreSQL types it. It need not be a valid event.
        #[expect(missing_docs, reason = "the fields are those of `Event`")]
        #[derive(Clone, Copy, Debug)]
        pub struct EventRow<'a> {
            $(pub $field: $type,)*
        }

        impl<'a> EventRow<'a> {
            /// Reads all columns.
            ///
            /// # Errors
            /// With the reader's error for the first column that it can't read.
            #[inline]
            pub fn read<R: ColumnReader<'a>>(reader: &mut R) -> Result<Self, R::Error> {
                Ok(Self { $($field: reader.$sql($name)?,)* })
            }

            /// The row as an event of a log.
            ///
            /// # Errors
            /// If a value is one that no event can have.
            pub fn into_event(self, log_id: LogId) -> Result<Event, ColumnError> {
                Ok(Event {
                    log_id,
                    $($field: {
                        let $value = self.$field;
                        let read: Result<_, String> = $read;
                        read.map_err(|why| ColumnError { column: $name, why })?
                    },)*
                })
            }
        }

        /// The values to store for an event, in the order of [`EVENT_COLUMNS`].
        #[must_use]
        pub fn event_values($event: &Event) -> [ColumnValue<'_>; EVENT_COLUMNS.len()] {
            [$(ColumnValue::$sql($write)),*]
        }
    };
}

event_table! {
    (event, value)
    // Field of `Event`: type as read = SQL type(column), value to store => value of the event.
    position: i64 = bigint("position"), to_bigint(event.position.get()) => Ok(from_bigint(value).into());
    event_id: Uuid = uuid("event_id"), event.event_id.uuid() => Ok(value.into());
    command_id: Uuid = uuid("command_id"), event.command_id.uuid() => Ok(value.into());
    ordinal: i32 = integer("ordinal"), to_integer(event.ordinal) => value.try_into().map_err(negative);
    count: i32 = integer("count"), to_integer(event.count) => value.try_into().map_err(negative);
    entity: &'a str = text("entity"), event.entity.to_string().into() => Entity::of_any_kind(value).map_err(text_of);
    version: i64 = bigint("version"), to_bigint(event.version.get()) => Ok(from_bigint(value).into());
    event_type: &'a str = text("type"), event.event_type.as_str().into() => Ok(value.into());
    v: i16 = smallint("v"), to_smallint(event.v) => value.try_into().map_err(negative);
    actor: &'a str = text("actor"), event.actor.to_string().into() => value.parse().map_err(text_of);
    reason: Option<&'a str> = nullable_text("reason"), event.reason.as_deref() => Ok(value.map(Into::into));
    at: Instant = timestamptz("at"), event.at => Ok(value);
    data: &'a str = json("data"), event.data.as_str() => Ok(value.into());
    leaf: &'a [u8] = bytea("leaf"), event.leaf.as_bytes() => Digest::try_from(value).map_err(text_of);
}

/// A position or version as PostgreSQL holds it. 2^63 events would take a million a second for 292,000 years.
///
/// # Panics
/// If the number is larger than that.
#[must_use]
pub fn to_bigint(number: u64) -> i64 {
    i64::try_from(number).expect("BUG: no log has 2^63 events")
}

/// A position or version from PostgreSQL; 0 if it is negative, which a constraint of the table prevents and no event has.
#[must_use]
pub fn from_bigint(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn to_integer(number: u32) -> i32 {
    i32::try_from(number).expect("BUG: a request has at most 1000 events")
}

fn to_smallint(number: u16) -> i16 {
    i16::try_from(number).expect("BUG: formats count from 1, by one")
}

fn negative(_: core::num::TryFromIntError) -> String {
    "it is negative".into()
}

fn text_of(error: impl core::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn the_table_has_the_columns_that_the_migration_creates() {
        let created = include_str!("../sql/V02__event.sql").lines().filter_map(|line| line.strip_prefix("    "));
        let created = created.take_while(|line| !line.starts_with("UNIQUE")).map(|line| {
            let words: Vec<&str> = line.trim_end_matches(',').split_whitespace().collect();
            let is_nullable = !line.contains("NOT NULL") && !line.contains("PRIMARY KEY");
            (words[0], words[1], is_nullable)
        });
        let listed = EVENT_COLUMNS.iter().map(|column| match column.sql {
            SqlType::nullable_text => (column.name, "text".into(), true),
            sql => (column.name, alloc::format!("{sql:?}"), false),
        });
        let created: Vec<_> = created.map(|(name, sql, is_nullable)| (name, sql.into(), is_nullable)).collect();
        assert_eq!(listed.collect::<Vec<(&str, String, bool)>>(), created);
    }
}
