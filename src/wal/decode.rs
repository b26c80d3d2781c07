//! Binary pgoutput as events: the table's description (`R`), then its rows (`I`).
//!
//! The description gives the order of a row's values, so a column that was added to the table later does no harm; a column that is missing
//! is an error.

use std::array;
use std::collections::BTreeMap;
use std::error::Error as StdError;

use postgres_protocol::types;
use schema::event::Event;
use schema::event_table::{ColumnError, ColumnReader, EVENT_COLUMNS, EventRow};
use schema::id::LogId;
use schema::instant::{Instant, POSTGRES_EPOCH_MICROS};
use uuid::Uuid;

/// A message that does not say what pgoutput says.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// It ends too early.
    #[error("a message ends too early")]
    Short,
    /// A name is not UTF-8.
    #[error("a name is not UTF-8")]
    Name,
    /// A row came before its table was described.
    #[error("a row came before its table was described")]
    Undescribed,
    /// A column that an event needs is not in the publication.
    #[error("column {0} is not in the publication")]
    Missing(&'static str),
    /// A value is not in binary form.
    #[error("column {0} is null or not binary")]
    NotBinary(&'static str),
    /// A value is not of the column's type, or is one that no event can have.
    #[error(transparent)]
    Value(#[from] ColumnError),
    /// The publication lets something through that never happens to an append-only table.
    #[error("a message of kind {:?} came, although events are only ever inserted", char::from(*.0))]
    Unexpected(u8),
}

/// Reads messages, remembering how the tables were described.
#[derive(Debug)]
pub struct Decoder {
    log_id: LogId,
    relations: BTreeMap<u32, Relation>,
}

/// For each column of a table in the order of its rows, its place in [`EVENT_COLUMNS`], if it is one of them.
type Relation = Vec<Option<usize>>;

impl Decoder {
    /// A decoder of one log's stream.
    #[must_use]
    pub fn new(log_id: LogId) -> Self {
        Self { log_id, relations: BTreeMap::new() }
    }

    /// Reads one message; an event if it was a row.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn read(&mut self, message: &[u8]) -> Result<Option<Event>, Malformed> {
        let mut cursor = Cursor(message);
        match cursor.byte()? {
            b'R' => self.describe(&mut cursor).map(|()| None),
            b'I' => self.row(&mut cursor).map(Some),
            // A type's description, an origin, and a logical message say nothing about events.
            b'Y' | b'O' | b'M' => Ok(None),
            other => Err(Malformed::Unexpected(other)),
        }
    }

    fn describe(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
        let relation = cursor.u32()?;
        let (_namespace, _table) = (cursor.name()?, cursor.name()?);
        let _replica_identity = cursor.byte()?;
        let mut columns = Vec::new();
        for _ in 0..cursor.u16()? {
            let _flags = cursor.byte()?;
            let name = cursor.name()?;
            columns.push(EVENT_COLUMNS.iter().position(|column| column.name == name));
            let (_type, _modifier) = (cursor.u32()?, cursor.u32()?);
        }
        self.relations.insert(relation, columns);
        Ok(())
    }

    fn row(&self, cursor: &mut Cursor<'_>) -> Result<Event, Malformed> {
        let columns = self.relations.get(&cursor.u32()?).ok_or(Malformed::Undescribed)?;
        let _new_tuple = cursor.byte()?;
        let mut values = array::from_fn(|_| None);
        let mut places = columns.iter();
        for _ in 0..cursor.u16()? {
            let place = places.next().ok_or(Malformed::Undescribed)?;
            let value = cursor.value()?;
            if let Some(place) = *place {
                values[place] = Some(value);
            }
        }
        Row { values: values.into_iter() }.event(self.log_id)
    }
}

/// What a tuple holds for a column.
enum Value<'a> {
    Null,
    Binary(&'a [u8]),
    Other,
}

/// The values of a row in the order of [`EVENT_COLUMNS`], in which [`EventRow::read`] asks for them; none for a column that the row does
/// not have.
struct Row<'a> {
    values: array::IntoIter<Option<Value<'a>>, { EVENT_COLUMNS.len() }>,
}

impl<'a> Row<'a> {
    fn event(mut self, log_id: LogId) -> Result<Event, Malformed> {
        Ok(EventRow::read(&mut self)?.into_event(log_id)?)
    }

    /// The value of the next column, which is this one; none if it is null.
    fn next(&mut self, column: &'static str) -> Result<Option<&'a [u8]>, Malformed> {
        match self.values.next().flatten() {
            None => Err(Malformed::Missing(column)),
            Some(Value::Binary(bytes)) => Ok(Some(bytes)),
            Some(Value::Null) => Ok(None),
            Some(Value::Other) => Err(Malformed::NotBinary(column)),
        }
    }

    fn decoded<T>(&mut self, column: &'static str, decode: impl Fn(&'a [u8]) -> Decoded<T>) -> Result<T, Malformed> {
        let bytes = self.next(column)?.ok_or(Malformed::NotBinary(column))?;
        decode(bytes).map_err(|error| value(column, error))
    }
}

type Decoded<T> = Result<T, Box<dyn StdError + Sync + Send>>;

impl<'a> ColumnReader<'a> for Row<'a> {
    type Error = Malformed;

    fn smallint(&mut self, column: &'static str) -> Result<i16, Malformed> {
        self.decoded(column, types::int2_from_sql)
    }

    fn integer(&mut self, column: &'static str) -> Result<i32, Malformed> {
        self.decoded(column, types::int4_from_sql)
    }

    fn bigint(&mut self, column: &'static str) -> Result<i64, Malformed> {
        self.decoded(column, types::int8_from_sql)
    }

    fn uuid(&mut self, column: &'static str) -> Result<Uuid, Malformed> {
        self.decoded(column, types::uuid_from_sql).map(Uuid::from_bytes)
    }

    fn text(&mut self, column: &'static str) -> Result<&'a str, Malformed> {
        self.decoded(column, types::text_from_sql)
    }

    fn nullable_text(&mut self, column: &'static str) -> Result<Option<&'a str>, Malformed> {
        let text = self.next(column)?.map(types::text_from_sql).transpose();
        text.map_err(|error| value(column, error))
    }

    fn timestamptz(&mut self, column: &'static str) -> Result<Instant, Malformed> {
        let micros = self.decoded(column, types::timestamp_from_sql)?;
        let since_unix = micros.checked_add(POSTGRES_EPOCH_MICROS).ok_or_else(|| value(column, "infinity"))?;
        Ok(Instant::from_unix_micros(since_unix))
    }

    /// The binary form of json is its text.
    fn json(&mut self, column: &'static str) -> Result<&'a str, Malformed> {
        self.text(column)
    }

    fn bytea(&mut self, column: &'static str) -> Result<&'a [u8], Malformed> {
        self.decoded(column, |bytes| Ok(types::bytea_from_sql(bytes)))
    }
}

fn value(column: &'static str, why: impl std::fmt::Display) -> Malformed {
    ColumnError { column, why: why.to_string() }.into()
}

/// The rest of a message.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed::Short)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    fn name(&mut self) -> Result<&'a str, Malformed> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(Malformed::Short)?;
        let name = std::str::from_utf8(self.take(end)?).map_err(|_| Malformed::Name)?;
        self.take(1)?;
        Ok(name)
    }

    fn value(&mut self) -> Result<Value<'a>, Malformed> {
        match self.byte()? {
            b'n' => Ok(Value::Null),
            kind @ (b'b' | b't') => {
                let length = usize::try_from(self.u32()?).map_err(|_| Malformed::Short)?;
                let bytes = self.take(length)?;
                Ok(if kind == b'b' { Value::Binary(bytes) } else { Value::Other })
            }
            b'u' => Ok(Value::Other),
            other => Err(Malformed::Unexpected(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8)) {
            let mut decoder = Decoder::new(Uuid::nil().into());
            for message in messages {
                let _ = decoder.read(&message);
            }
        }
    }

    #[test]
    fn a_row_before_its_description_is_refused() {
        let mut decoder = Decoder::new(Uuid::nil().into());
        assert!(matches!(decoder.read(b"I\0\0\0\x01N\0\0"), Err(Malformed::Undescribed)));
        assert!(matches!(decoder.read(b"U"), Err(Malformed::Unexpected(b'U'))));
        assert!(matches!(decoder.read(b""), Err(Malformed::Short)));
    }
}
