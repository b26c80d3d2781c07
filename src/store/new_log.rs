//! Beginning a new log from the rest of an old one whose last events are lost for good.
//!
//! Every leaf contains the log's id, so the new log has all events of the old one, sealed again, and then one event that names the old
//! log. With the old id anybody can seal the events as before, and gets the root that this event names.
//!
//! Always: only a log that is intact up to its head is taken over, whole or not at all, in one transaction while the head row is locked
//! and nobody serves the log. A server that was suspended meanwhile finds another log's id under that lock. Absent on purpose: receipts
//! of the old log, because their ids follow from its id, and its checkpoints, because the event names the newest one.

use std::slice::from_ref;

use program::clock::system_time;
use replay::log::Follower;
use replay::tree::Frontier;
use schema::change::{Change, LogBegun};
use schema::entity::{Actor, Entity};
use schema::event::Event;
use schema::id::{CommandId, EventId, LogId};
use schema::instant::Instant;
use schema::position::{Position, Version};
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::clocks::Clocks;
use super::database::{Error, in_time};
use super::reader::{CLOCK, Head, Reader, head};
use super::rows;
use super::tree::{self, Growth};

/// Events that are sealed again together.
const PAGE_EVENTS: i64 = 2_000;
/// The tables that are append-only everywhere but here.
const TABLES: [&str; 3] = ["event", "tree", "checkpoint"];

/// Begins a new log if the head is still the `expected` one. Gives its id and the position of the event that names the old log.
///
/// # Errors
/// If another process uses the old log, or the log is not intact, has grown meanwhile, or can't be written. Nothing is changed then.
pub async fn begin_new_log(
    reader: &Reader,
    expected: &Head,
    checkpoint: Option<String>,
    reason: &str,
) -> Result<(LogId, Position), Error> {
    let ours = reader.rows("SELECT pg_backend_pid()", &[]).await?.first().map_or(0, |row| row.get::<_, i32>(0));
    let client = reader.database().connect("recovery").await?;
    in_time(client.batch_execute("BEGIN; SET LOCAL statement_timeout = 0")).await?;
    let there = head(&client, "FOR UPDATE").await?;
    let at = date(&client, &there).await?;
    if there != *expected {
        return Err(Error::Withheld("the log has changed meanwhile: look again".to_owned()));
    }
    // Another appender locks tables and then waits for the head row; the triggers below need those tables: a deadlock.
    is_at_rest(&client, ours).await?;
    guard(&client, "DISABLE").await?;
    in_time(client.batch_execute("DELETE FROM tree; DELETE FROM checkpoint")).await?;
    let new = LogId::from(Uuid::now_v7());
    let mut growth = Growth::from(Frontier::default());
    seal_again(&client, &there, new, &mut growth).await?;
    let begun = LogBegun { from: there.log_id, position: there.position, root: there.root, checkpoint };
    let event = event(new, &there, begun, at, reason);
    growth.push(event.leaf);
    in_time(client.execute(&rows::insert(""), &rows::EventColumns::of(from_ref(&event)).parameters())).await?;
    keep(&client, &mut growth).await?;
    let root = growth.frontier().root();
    let (position, at) = (rows::signed(event.position.get()), rows::time(event.at));
    let moved: [&(dyn ToSql + Sync); 4] = [&new.uuid(), &position, &at, &root.as_bytes().as_slice()];
    in_time(client.execute("UPDATE log_head SET log_id = $1, position = $2, at = $3, root = $4", &moved)).await?;
    guard(&client, "ENABLE").await?;
    in_time(client.batch_execute("COMMIT")).await?;
    Ok((new, event.position))
}

/// Checks that no other Headwater process is connected. One that connects later waits for the head row and finds another log.
async fn is_at_rest(client: &Client, ours: i32) -> Result<(), Error> {
    let query = "SELECT string_agg(DISTINCT application_name, ', ') FROM pg_stat_activity \
                 WHERE datname = current_database() AND application_name LIKE 'headwater %' \
                 AND pid NOT IN ($1, pg_backend_pid())";
    match in_time(client.query_one(query, &[&ours])).await?.get::<_, Option<String>>(0) {
        None => Ok(()),
        Some(who) => Err(Error::Withheld(format!(
            "this log is being used ({who}): end every `headwater serve` on it first, then begin it anew"
        ))),
    }
}

/// Disables or enables the triggers that keep history from being changed.
async fn guard(client: &Client, how: &str) -> Result<(), Error> {
    for table in TABLES {
        let alter = format!("ALTER TABLE {table} {how} TRIGGER {table}_is_append_only");
        in_time(client.batch_execute(&alter)).await?;
    }
    Ok(())
}

/// Checks every event with the old id, and seals it with the new one.
async fn seal_again(client: &Client, old: &Head, new: LogId, growth: &mut Growth) -> Result<(), Error> {
    let query = format!("SELECT {} FROM event WHERE position > $1 ORDER BY position LIMIT $2", rows::select_list());
    let update = "UPDATE event SET leaf = new.leaf FROM unnest($1::int8[], $2::bytea[]) AS new (position, leaf) \
                  WHERE event.position = new.position";
    let mut follower = Follower::new(old.log_id);
    loop {
        let after = rows::signed(follower.position().get());
        let page = in_time(client.query(&query, &[&after, &PAGE_EVENTS])).await?;
        if page.is_empty() {
            break;
        }
        let (mut positions, mut leaves) = (Vec::with_capacity(page.len()), Vec::with_capacity(page.len()));
        for row in &page {
            let event = rows::event(old.log_id, row)?;
            follower.advance(&event)?;
            let sealed = Event { log_id: new, ..event }.sealed();
            growth.push(sealed.leaf);
            positions.push(rows::signed(sealed.position.get()));
            leaves.push(sealed.leaf.as_bytes().to_vec());
        }
        in_time(client.execute(update, &[&positions, &leaves])).await?;
        keep(client, growth).await?;
    }
    old.is_over(&follower)
}

async fn keep(client: &Client, growth: &mut Growth) -> Result<(), Error> {
    in_time(client.execute(&tree::insert(1, ""), &tree::NodeColumns::of(growth.nodes()).parameters())).await?;
    growth.clear_nodes();
    Ok(())
}

/// The time of the new log's event: this machine's clock, but not ahead of PostgreSQL's and not before the old log's last event.
async fn date(client: &Client, old: &Head) -> Result<Instant, Error> {
    let server = system_time();
    let row = in_time(client.query_one(&format!("SELECT {CLOCK}"), &[])).await?;
    let clocks = Clocks { server, postgres: rows::instant(row.get("clock")), nats: None, head: old.at };
    Ok(server.min(clocks.dating()?.latest).max(old.at))
}

/// The event that names the old log.
fn event(log_id: LogId, old: &Head, begun: LogBegun, at: Instant, reason: &str) -> Event {
    let change = Change::LogBegun(begun);
    let command_id = CommandId::from(Uuid::now_v7());
    let event = Event {
        v: change.format(),
        log_id,
        position: old.position.next(),
        event_id: EventId::derived(command_id, 1, at),
        command_id,
        ordinal: 1,
        count: 1,
        entity: Entity::log(log_id),
        version: Version::default().next(),
        event_type: change.event_type().to_owned(),
        actor: Actor::Recovery,
        reason: Some(reason.to_owned()),
        at,
        data: change.data(),
        leaf: schema::digest::Digest::of(&[]),
    };
    event.sealed()
}
