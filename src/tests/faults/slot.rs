//! The replication slot: dropped, without its publication, given up by PostgreSQL, held by somebody else, with a walsender that
//! stands still, and beside much that others write.

use std::time::Duration;

use rustix::process::Signal;
use schema::address::RELAY_ROLE;
use wal::slot::Slot;

use crate::processes::signal;
use crate::reader;
use crate::story::{PLAIN, Stage, Story, is_long, nothing, scenarios};
use testkit::eventually::eventually;
use testkit::law;

/// PostgreSQL keeps little for a slot that does not move.
const KEEPS_LITTLE: Stage = Stage { settings: &[("max_slot_wal_keep_size", "1MB"), ("max_wal_size", "64MB")], ..PLAIN };
/// How long anything may take that happens by itself.
const SOON: Duration = Duration::from_secs(60);
/// How soon a walsender that stands still is noticed.
const NOTICED_WITHIN: Duration = Duration::from_secs(15);
/// How far the slot may lag behind what others write, in bytes.
const LAG_BYTES_MAX: u64 = 1 << 20;
const SLOT: &str = "headwater_headwater";
/// Some 60 MB of write-ahead log that have nothing to do with the log.
const FOREIGN: &str = "CREATE TABLE IF NOT EXISTS foreign_table (x text); \
                       INSERT INTO foreign_table SELECT repeat('x', 200) FROM generate_series(1, 200000)";

scenarios! {
    slot_is_dropped: PLAIN, drop_slot, nothing;
    publication_is_dropped: PLAIN, drop_publication, install_again;
    slot_is_given_up_by_postgres: KEEPS_LITTLE, invalidate_slot, thaw_server;
    slot_is_held_by_another: PLAIN, hold_slot, nothing;
    walsender_is_frozen: PLAIN, freeze_walsender, nothing;
    much_is_written_by_others: PLAIN, write_much, nothing;
}

/// Ends whoever holds the slot, until something can be done with it.
const END_HOLDER: &str = "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'headwater_headwater' AND active";

async fn drop_slot(story: &mut Story) {
    let url = story.fleet.backends.database();
    eventually("the slot can be dropped", SOON, async || {
        let session = reader::session(&url).await?;
        let drop = format!("SELECT pg_drop_replication_slot('{SLOT}')");
        session.batch_execute(END_HOLDER).await.map_err(|error| error.to_string())?;
        session.batch_execute(&drop).await.map_err(|error| error.to_string())
    })
    .await;
}

async fn drop_publication(story: &mut Story) {
    law::execute(&story.fleet.backends.database(), "DROP PUBLICATION headwater").await;
    let api = story.fleet.api().clone();
    eventually("it is said what is missing and what makes it again", SOON, async || {
        let ready = api.get("/readyz").await?;
        let says = ready.body.to_string();
        match says.contains("publication headwater is missing") && says.contains("`headwater install`") {
            true => Ok(()),
            false => Err(says),
        }
    })
    .await;
    let kept = format!("SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{SLOT}'");
    let kept = reader::ask(&story.fleet.backends.database(), &kept).await.unwrap();
    assert_eq!(kept.as_deref(), Some("0"), "no write-ahead log is kept for it");
}

async fn install_again(story: &mut Story) {
    story.fleet.install().await;
}

async fn invalidate_slot(story: &mut Story) {
    story.fleet.servers[0].process.freeze(true);
    let url = story.fleet.backends.database();
    eventually("PostgreSQL gives the slot up", SOON, async || {
        law::execute(&url, FOREIGN).await;
        law::execute(&url, "SELECT pg_switch_wal()").await;
        law::execute(&url, "CHECKPOINT").await;
        let status = format!("SELECT wal_status FROM pg_replication_slots WHERE slot_name = '{SLOT}'");
        match reader::ask(&url, &status).await?.as_deref() {
            Some("lost") => Ok(()),
            status => Err(format!("{status:?}")),
        }
    })
    .await;
}

async fn thaw_server(story: &mut Story) {
    story.fleet.servers[0].process.freeze(false);
}

async fn hold_slot(story: &mut Story) {
    let url = story.fleet.backends.database();
    let log = reader::ask(&url, "SELECT log_id FROM log_head").await.unwrap().unwrap();
    let log = log.parse::<uuid::Uuid>().unwrap().into();
    let slot = Slot::parse(&story.fleet.backends.database_as(RELAY_ROLE), None).unwrap();
    let held = eventually("another one has the slot", SOON, async || {
        law::execute(&url, END_HOLDER).await;
        slot.take(log).await.map_err(|error| error.to_string())
    })
    .await;
    story.lasts().await;
    if is_long() {
        let ready = story.fleet.api().get("/readyz").await.unwrap();
        let parts = ready.body["reasons"].as_array().unwrap().iter().map(|reason| &reason["part"]);
        assert!(
            ready.status == 503 && parts.into_iter().any(|part| part == "publishing"),
            "it says how far behind publishing is: {ready:?}"
        );
    }
    drop(held);
}

/// Nobody can take the slot from a process that stands still, but it is noticed, and said.
async fn freeze_walsender(story: &mut Story) {
    let url = story.fleet.backends.database();
    let pid = "SELECT active_pid FROM pg_replication_slots WHERE active";
    let pid: u32 = reader::ask(&url, pid).await.unwrap().unwrap().parse().unwrap();
    signal(pid, Signal::STOP);
    let api = story.fleet.api().clone();
    eventually("it is noticed", NOTICED_WITHIN, async || match api.get("/v1/log").await? {
        log if log.body["relay"] != "following" => Ok(()),
        log => Err(format!("{log:?}")),
    })
    .await;
    signal(pid, Signal::CONT);
}

async fn write_much(story: &mut Story) {
    let url = story.fleet.backends.database();
    for _ in 0..3 {
        law::execute(&url, FOREIGN).await;
        eventually("the slot has moved on", SOON, async || {
            let lag = format!(
                "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint \
                 FROM pg_replication_slots WHERE slot_name = '{SLOT}'"
            );
            match reader::ask(&url, &lag).await?.and_then(|lag| lag.parse::<u64>().ok()) {
                Some(lag) if lag < LAG_BYTES_MAX => Ok(()),
                lag => Err(format!("{lag:?} bytes")),
            }
        })
        .await;
    }
}
