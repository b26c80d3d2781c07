//! Events as rows of table `event`, and back, without losing a byte.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use schema::digest::Digest;
use schema::entity::Entity;
use schema::event::Event;
use schema::id::LogId;
use schema::instant::Instant;
use schema::position::Position;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::database::Error;

/// The columns in the order in which [`event`] reads them. `data` is read as text: parsing it would lose its spelling.
pub(crate) const COLUMNS: &str = "position, event_id, command_id, ordinal, count, entity, version, type, v, actor, \
                                  reason, at, data::text, leaf";

/// Inserts any number of events in one statement, in their order; nothing unless `condition` holds, an SQL clause or no text.
pub(crate) fn insert(condition: &str) -> String {
    format!(
        "INSERT INTO event (position, event_id, command_id, ordinal, count, entity, version, type, v, actor, reason, at, \
             data, leaf) \
         SELECT * FROM (SELECT position, event_id, command_id, ordinal, count, entity, version, type, v, actor, reason, \
                               at, data::json, leaf \
           FROM unnest($1::int8[], $2::uuid[], $3::uuid[], $4::int4[], $5::int4[], $6::text[], $7::int8[], $8::text[], \
                       $9::int2[], $10::text[], $11::text[], $12::timestamptz[], $13::text[], $14::bytea[]) \
                AS new (position, event_id, command_id, ordinal, count, entity, version, type, v, actor, reason, at, \
                        data, leaf)) AS typed {condition} ORDER BY position"
    )
}

/// The types of its parameters.
pub(crate) const INSERT_TYPES: [Type; 14] = [
    Type::INT8_ARRAY,
    Type::UUID_ARRAY,
    Type::UUID_ARRAY,
    Type::INT4_ARRAY,
    Type::INT4_ARRAY,
    Type::TEXT_ARRAY,
    Type::INT8_ARRAY,
    Type::TEXT_ARRAY,
    Type::INT2_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::TIMESTAMPTZ_ARRAY,
    Type::TEXT_ARRAY,
    Type::BYTEA_ARRAY,
];

/// Events column by column, as [`insert`] takes them.
#[derive(Default)]
pub(crate) struct Columns<'a> {
    position: Vec<i64>,
    event_id: Vec<Uuid>,
    command_id: Vec<Uuid>,
    ordinal: Vec<i32>,
    count: Vec<i32>,
    entity: Vec<String>,
    version: Vec<i64>,
    event_type: Vec<&'a str>,
    v: Vec<i16>,
    actor: Vec<String>,
    reason: Vec<Option<&'a str>>,
    at: Vec<SystemTime>,
    data: Vec<&'a str>,
    leaf: Vec<&'a [u8]>,
}

impl<'a> Columns<'a> {
    /// Turns events into columns.
    pub(crate) fn of(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut columns = Self::default();
        events.into_iter().for_each(|event| columns.push(event));
        columns
    }

    fn push(&mut self, event: &'a Event) {
        self.position.push(signed(event.position.get()));
        self.event_id.push(event.event_id.uuid());
        self.command_id.push(event.command_id.uuid());
        self.ordinal.push(small(event.ordinal));
        self.count.push(small(event.count));
        self.entity.push(event.entity.to_string());
        self.version.push(signed(event.version.get()));
        self.event_type.push(&event.event_type);
        self.v.push(i16::try_from(event.v).expect("BUG: formats count from 1, by one"));
        self.actor.push(event.actor.to_string());
        self.reason.push(event.reason.as_deref());
        self.at.push(time(event.at));
        self.data.push(&event.data);
        self.leaf.push(event.leaf.as_bytes());
    }

    /// The parameters of [`insert`].
    pub(crate) fn parameters(&self) -> [&(dyn ToSql + Sync); 14] {
        [
            &self.position,
            &self.event_id,
            &self.command_id,
            &self.ordinal,
            &self.count,
            &self.entity,
            &self.version,
            &self.event_type,
            &self.v,
            &self.actor,
            &self.reason,
            &self.at,
            &self.data,
            &self.leaf,
        ]
    }
}

/// A row of [`COLUMNS`] as an event.
pub(crate) fn event(log_id: LogId, row: &Row) -> Result<Event, Error> {
    let position = Position::from(unsigned(row.get(0)));
    let wrong = |why: String| Error::Row { position, why };
    let leaf: &[u8] = row.get(13);
    Ok(Event {
        v: row.get::<_, i16>(8).try_into().map_err(|_| wrong("a negative format".into()))?,
        log_id,
        position,
        event_id: row.get::<_, Uuid>(1).into(),
        command_id: row.get::<_, Uuid>(2).into(),
        ordinal: row.get::<_, i32>(3).try_into().map_err(|_| wrong("a negative ordinal".into()))?,
        count: row.get::<_, i32>(4).try_into().map_err(|_| wrong("a negative count".into()))?,
        entity: Entity::of_any_kind(row.get(5)).map_err(|error| wrong(format!("{error}")))?,
        version: unsigned(row.get(6)).into(),
        event_type: row.get(7),
        actor: row.get::<_, &str>(9).parse().map_err(|error| wrong(format!("{error}")))?,
        reason: row.get(10),
        at: instant(row.get(11)),
        data: row.get(12),
        leaf: Digest::try_from(leaf).map_err(|error| wrong(format!("{error}")))?,
    })
}

/// A number as Postgres holds it. 2^63 events would take a million a second for 292,000 years.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("BUG: no log is that long")
}

/// A number that a constraint of the table keeps from being negative.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn small(number: u32) -> i32 {
    i32::try_from(number).expect("BUG: a request has at most 1000 events")
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
