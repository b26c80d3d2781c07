//! The law of the log, read by nobody's code but the test's own: the table by SQL, `cfg_events` by a plain consumer.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use bus::connect::connect;
use futures::{StreamExt as _, TryStreamExt as _};
use schema::event::Event;
use schema::wire::WireRecord as _;
use tokio_postgres::{NoTls, Row};

use crate::backends::TestBackends;
use crate::eventually::eventually;

/// How long publishing may lag behind, whatever was done to the servers.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(60);

/// One event, every column as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub position: u64,
    pub command_id: String,
    pub entity: String,
    pub version: u64,
    pub kind: String,
    pub reason: Option<String>,
    pub data: String,
    /// The other columns.
    rest: String,
}

/// Checks the whole law once the servers are at rest, and gives the log: positions are 1..N, and `cfg_events` has each
/// of them once, at the sequence of its number, with the same content.
pub async fn holds(backends: &TestBackends) -> Vec<Line> {
    let published = eventually("all that is in the log is published", PUBLISHED_WITHIN, async || {
        let (table, stream) = (table(&backends.database()).await?, stream(&backends.nats_url()).await?);
        match table.len() == stream.len() {
            true => Ok((table, stream)),
            false => Err(format!("{} events in the table, {} in the stream", table.len(), stream.len())),
        }
    })
    .await;
    let (table, stream) = published;
    for (index, (stored, sent)) in table.iter().zip(&stream).enumerate() {
        assert_eq!(stored.position, index as u64 + 1, "the table is gapless");
        assert_eq!(stored, sent, "the stream says what the table says");
    }
    table
}

/// Table `event` in the order of its positions.
pub async fn table(url: &str) -> Result<Vec<Line>, String> {
    let query = "SELECT position, command_id::text, entity, version, type, reason, data::text, \
                 event_id || ' ' || ordinal || '/' || count || ' v' || v || ' ' || actor || ' ' || \
                 to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') || ' ' || encode(leaf, 'hex'), \
                 (SELECT log_head.position FROM log_head) FROM event ORDER BY event.position";
    let said = |error: tokio_postgres::Error| {
        let is_ours = error.code().is_some_and(|code| code.code().starts_with("42"));
        assert!(!is_ours, "the test asks wrongly: {error:?}");
        error.to_string()
    };
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.map_err(said)?;
    let connection = tokio::spawn(connection);
    let rows = client.query(query, &[]).await.map_err(said)?;
    drop(client);
    connection.await.unwrap().map_err(said)?;
    if let Some(last) = rows.last() {
        assert_eq!(last.get::<_, i64>(0), last.get::<_, i64>(8), "the head says where the log ends");
    }
    Ok(rows.iter().map(line_of_row).collect())
}

/// Runs a statement as the superuser.
pub async fn execute(url: &str, statement: &str) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(statement).await.unwrap();
}

fn line_of_row(row: &Row) -> Line {
    let number = |column| u64::try_from(row.get::<_, i64>(column)).unwrap();
    Line {
        position: number(0),
        command_id: row.get(1),
        entity: row.get(2),
        version: number(3),
        kind: row.get(4),
        reason: row.get(5),
        data: row.get(6),
        rest: row.get(7),
    }
}

/// Stream `cfg_events` from its first message to its last.
pub async fn stream(url: &str) -> Result<Vec<Line>, String> {
    let link = connect(url, "test").await.unwrap();
    let said = |error: &dyn std::fmt::Display| error.to_string();
    link.client().flush().await.map_err(|error| said(&error))?;
    let mut stream = link.jetstream().get_stream("cfg_events").await.map_err(|error| said(&error))?;
    let state = stream.info().await.map_err(|error| said(&error))?.state.clone();
    assert_eq!(state.messages, state.last_sequence, "the stream has no holes");
    if state.messages == 0 {
        return Ok(Vec::new());
    }
    let config = pull::Config { ack_policy: AckPolicy::None, ..pull::Config::default() };
    let consumer = stream.create_consumer(config).await.map_err(|error| said(&error))?;
    let messages = consumer.messages().await.map_err(|error| said(&error))?;
    let count = usize::try_from(state.messages).unwrap();
    let lines = messages.take(count).map_err(|error| said(&error)).map(|message| line_of_message(&message?));
    tokio::time::timeout(Duration::from_secs(20), lines.try_collect()).await.map_err(|late| said(&late))?
}

fn line_of_message(message: &async_nats::jetstream::Message) -> Result<Line, String> {
    let event = Event::read(&message.payload).map_err(|error| error.to_string())?;
    let Event { entity, event_type, .. } = &event;
    let subject = format!("cfg.events.{}.{event_type}", entity.to_string().replace('/', "."));
    assert_eq!(message.subject.as_str(), subject, "the subject says what happened to what");
    let sequence = message.info().map_err(|error| error.to_string())?.stream_sequence;
    assert_eq!(sequence, event.position.get(), "an event is at the sequence of its position");
    assert!(event.is_intact(), "the leaf seals what was sent");
    Ok(Line {
        position: event.position.get(),
        command_id: event.command_id.to_string(),
        entity: entity.to_string(),
        version: event.version.get(),
        kind: event_type.clone(),
        reason: event.reason.clone(),
        data: event.data.clone(),
        rest: format!(
            "{} {}/{} v{} {} {} {}",
            event.event_id, event.ordinal, event.count, event.v, event.actor, event.at, event.leaf
        ),
    })
}
