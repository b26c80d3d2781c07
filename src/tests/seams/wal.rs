//! The write-ahead log: whole transactions as the table has them, and acknowledgements that neither hold PostgreSQL back nor
//! run ahead of what is safe.

use std::time::{Duration, Instant};

use futures::future::join_all;
use schema::event::Event;
use serde_json::json;
use tokio::task::JoinHandle;
use wal::Error;
use wal::tail::{Receipt, Tail};

use crate::SOON;
use crate::desk::{Desk, enrol, one, put, retry};
use testkit::eventually::eventually;

/// Where the slot was acknowledged.
const CONFIRMED: &str = "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'headwater_headwater'";
/// Writes to the write-ahead log that have nothing to do with the log.
const FOREIGN: &str = "CREATE TABLE IF NOT EXISTS foreign_table (x text); \
                       INSERT INTO foreign_table SELECT repeat('x', 100) FROM generate_series(1, 1000)";

/// The next batches until one ends at `last`.
async fn until(tail: &mut Tail, last: u64) -> (Vec<Event>, Receipt) {
    let mut events = Vec::new();
    loop {
        let batch = tokio::time::timeout(SOON, tail.next()).await.expect("it comes soon").unwrap();
        assert!(batch.events[0].ordinal == 1 && batch.events.last().unwrap().ends_request(), "transactions are whole");
        events.extend(batch.events);
        if events.last().unwrap().position.get() >= last {
            return (events, batch.receipt);
        }
    }
}

/// Takes the slot, as soon as it is free.
async fn take(desk: &Desk) -> Tail {
    eventually("the slot is free", SOON, async || {
        desk.slot().take(desk.log_id).await.map_err(|error| error.to_string())
    })
    .await
}

/// Follows and acknowledges whatever comes, as a relay with nothing to do.
fn idle(mut tail: Tail) -> JoinHandle<Error> {
    tokio::spawn(async move {
        loop {
            match tail.next().await {
                Ok(batch) => tail.acknowledge(batch.receipt),
                Err(error) => return error,
            }
        }
    })
}

/// A heartbeat is written every 4 s and heard within 10 s; the rest is for a busy machine.
const FOUND_OUT_WITHIN: Duration = Duration::from_secs(20);

/// Whether the slot was acknowledged beyond a place in the write-ahead log.
async fn is_confirmed(desk: &Desk, lsn: &str) -> bool {
    desk.ask(&format!("SELECT ({CONFIRMED}) >= '{lsn}'")).await == "true"
}

#[tokio::test]
async fn what_comes_is_what_the_table_has() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    let mut tail = take(&desk).await;
    open.submit(one(enrol("a"))).await.unwrap();
    let bodies = (0..100).map(|number| {
        let commands: Vec<_> =
            (0..=number % 7).map(|_| retry("a")).chain([put(&format!("d-{number}"), "ü\\u0041")]).collect();
        json!({"reason": (number % 3 == 0).then_some("grund \u{1f600}"), "commands": commands})
    });
    join_all(bodies.map(|body| open.submit(body))).await.into_iter().for_each(|answer| drop(answer.unwrap()));
    // Larger than any buffer on the way.
    let many: Vec<_> = (0..1000).map(|number| enrol(&format!("n-{number}"))).collect();
    let labels = json!({"type": "label_node", "id": "a", "labels": {"long": "x".repeat(200_000)}});
    open.submit(json!({"commands": many})).await.unwrap();
    open.submit(one(labels)).await.unwrap();

    let log = open.events().await;
    let (came, receipt) = until(&mut tail, log.len() as u64).await;
    assert_eq!(came.len(), log.len());
    for (came, stored) in came.iter().zip(&log) {
        assert_eq!(came, stored);
    }

    // What was acknowledged does not come again; what was not does.
    tail.acknowledge(receipt);
    let lsn = desk.ask("SELECT pg_current_wal_lsn()").await;
    let _idle = idle(tail);
    eventually("it is acknowledged", SOON, async || match is_confirmed(&desk, &lsn).await {
        true => Ok(()),
        false => Err(desk.ask(CONFIRMED).await),
    })
    .await;
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_again_and_holds_its_wal() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    let mut tail = take(&desk).await;
    open.submit(one(enrol("a"))).await.unwrap();
    let (_, first) = until(&mut tail, 1).await;
    tail.acknowledge(first);
    let before = desk.ask("SELECT pg_current_wal_lsn()").await;
    open.submit(one(enrol("b"))).await.unwrap();
    let (events, _unsafe) = until(&mut tail, 2).await;
    assert_eq!(events.len(), 1);
    // While it is not, nothing that lies behind it is acknowledged either: not with the keepalives that follow.
    let sent = "SELECT sent_lsn >= pg_current_wal_lsn() FROM pg_stat_replication";
    desk.sql(FOREIGN).await;
    let waited = tokio::time::timeout(Duration::from_secs(6), tail.next()).await;
    assert!(waited.is_err(), "nothing more comes: {waited:?}");
    assert_eq!(desk.ask(sent).await, "true", "the stream was followed meanwhile");
    let after = desk.ask("SELECT pg_current_wal_lsn()").await;
    assert!(!is_confirmed(&desk, &after).await, "{before} {after} {}", desk.ask(CONFIRMED).await);
    drop(tail);
    let mut tail = take(&desk).await;
    let (again, receipt) = until(&mut tail, 2).await;
    assert_eq!(again.last(), events.last());
    tail.acknowledge(receipt);
    let _idle = idle(tail);
    eventually("now it is", SOON, async || match is_confirmed(&desk, &after).await {
        true => Ok(()),
        false => Err(desk.ask(CONFIRMED).await),
    })
    .await;
}

#[tokio::test]
async fn a_slot_has_one_holder() {
    let desk = Desk::new().await;
    let held = take(&desk).await;
    match desk.slot().take(desk.log_id).await {
        Err(Error::SlotBusy(name)) => assert_eq!(name, "headwater_headwater"),
        other => panic!("{:?}", other.map(drop)),
    }
    drop(held);
    drop(take(&desk).await);
}

#[tokio::test]
async fn postgres_shuts_down_quickly_beside_an_idle_tail() {
    let mut desk = Desk::new().await;
    let open = desk.open().await;
    let idle = idle(take(&desk).await);
    for number in 0..20 {
        open.submit(one(enrol(&format!("n-{number}")))).await.unwrap();
    }
    desk.sql(FOREIGN).await;
    let begun = Instant::now();
    desk.backends.postgres.stop().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
    let ended = tokio::time::timeout(SOON, idle).await.expect("the tail ends").unwrap();
    println!("the tail says: {ended}");
}

#[tokio::test]
async fn an_idle_log_does_not_hold_the_wal_of_others() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    let _idle = idle(take(&desk).await);
    open.submit(one(enrol("a"))).await.unwrap();
    for _ in 0..3 {
        desk.sql(FOREIGN).await;
        let written = desk.ask("SELECT pg_current_wal_lsn()").await;
        eventually("it is acknowledged", Duration::from_secs(10), async || match is_confirmed(&desk, &written).await {
            true => Ok(()),
            false => Err(format!("{} < {written}", desk.ask(CONFIRMED).await)),
        })
        .await;
    }
}

/// A process of PostgreSQL that was stopped; it goes on when this is dropped.
struct Frozen(rustix::process::Pid);

impl Frozen {
    fn freeze(pid: &str) -> Self {
        let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        Self(pid)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _gone_already = rustix::process::kill_process(self.0, rustix::process::Signal::CONT);
    }
}

#[tokio::test]
async fn a_frozen_walsender_is_found_out() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    open.submit(one(enrol("a"))).await.unwrap();
    let idle = idle(take(&desk).await);
    let pid = eventually("it is followed", SOON, async || {
        match desk.ask("SELECT pid FROM pg_stat_replication WHERE state = 'streaming'").await {
            none if none.is_empty() => Err("no walsender".to_owned()),
            pid => Ok(pid),
        }
    })
    .await;
    let frozen = Frozen::freeze(&pid);
    let begun = Instant::now();
    let ended = tokio::time::timeout(FOUND_OUT_WITHIN, idle).await.expect("it is found out").unwrap();
    println!("after {:?}: {ended}", begun.elapsed());
    drop(frozen);
    drop(take(&desk).await);
}
