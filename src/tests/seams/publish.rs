//! Publishing: a pointer never points at nothing, and the last sequence of the event stream says that all before it is there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt as _;
use schema::address::{Bucket, Prefix};
use schema::desired::Desired;
use schema::event::Event;
use schema::object::{ObjectName, ObjectSecret};
use schema::seal::SignedRecord;
use schema::wire::WireRecord as _;
use serde_json::json;

use crate::SOON;
use crate::desk::{Desk, enrol, one, put, retry};
use testkit::eventually::eventually;
use testkit::law;

/// What was heard, in the order in which it was published.
#[derive(Default)]
struct Heard {
    /// The position of each node's record.
    records: BTreeMap<String, u64>,
    /// Objects whose meta was put.
    objects: BTreeSet<ObjectName>,
    /// The last event.
    published: u64,
}

impl Heard {
    fn hear(&mut self, subject: &str, payload: &[u8], desk: &Desk) {
        if subject.starts_with("$O.cfg_blobs.M.") {
            let meta: serde_json::Value = serde_json::from_slice(payload).unwrap();
            self.objects.insert(meta["name"].as_str().unwrap().parse().unwrap());
        } else if let Some(node) = subject.strip_prefix("$KV.cfg_desired.") {
            let signed = SignedRecord::read(payload).unwrap();
            let desired = Desired::read(desk.key.public().open(&signed).unwrap()).unwrap();
            let fetched = desired.entries.iter().filter(|entry| entry.inline.is_none());
            for entry in fetched {
                // No node here has keys, so that each may read in plain as well.
                let sealed = ObjectSecret::of(desk.log_id, entry.digest).name();
                for name in [sealed, ObjectName::Plain(entry.digest)] {
                    assert!(self.objects.contains(&name), "{subject} points at nothing: {name} of {}", entry.path);
                }
            }
            assert!(desired.position.get() > self.published, "{subject} came after its event");
            self.records.insert(node.to_owned(), desired.position.get());
        } else if subject.starts_with("cfg.events.") {
            let event = Event::read(payload).unwrap();
            assert_eq!(event.position.get(), self.published + 1);
            self.published = event.position.get();
            // Every document here is for all nodes, and every node is named by its own events.
            let concerned: Vec<&String> = match event.entity.to_string().split_once('/').unwrap() {
                ("document", _) => self.records.keys().collect(),
                (_, node) => self.records.keys().filter(|name| *name == node).collect(),
            };
            for node in concerned {
                assert!(
                    self.records[node] >= self.published,
                    "the record of {node} is not there for {}",
                    self.published
                );
            }
        }
    }
}

#[tokio::test]
async fn what_an_event_needs_is_published_before_it() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    let relay = desk.following(&open.log).await;
    // One subscription hears everything in the order in which one publisher sent it.
    let link = desk.nats().await;
    let mut all = link.client().subscribe(">").await.unwrap();
    link.client().flush().await.unwrap();

    for node in ["a", "b", "c"] {
        open.submit(one(enrol(node))).await.unwrap();
    }
    for round in 0..12 {
        let large = "x".repeat(5_000 + round * 20_000) + &round.to_string();
        let commands = [put("small", &round.to_string()), put(&format!("large-{}", round % 3), &large), retry("b")];
        open.submit(json!({"commands": commands})).await.unwrap();
    }
    let head = open.events().await.len() as u64;
    let mut heard = Heard::default();
    while heard.published < head {
        let message = tokio::time::timeout(SOON, all.next()).await.expect("all is published soon").unwrap();
        // What a consumer is sent comes by as well; it was published before.
        if message.reply.as_ref().is_some_and(|reply| reply.starts_with("$JS.ACK.")) {
            continue;
        }
        heard.hear(&message.subject, &message.payload, &desk);
    }
    assert_eq!(heard.records.len(), 3);
    assert!(heard.objects.len() >= 3);
    law::holds(&desk.backends).await;
    relay.stop().await;
}

/// What is put while there is no slot is public once there is one again.
async fn nothing_is_lost_where(slot_goes: impl AsyncFnOnce(&Desk), puts: usize) {
    let desk = Desk::new().await;
    let open = desk.open().await;
    let relay = desk.following(&open.log).await;
    open.submit(one(enrol("a"))).await.unwrap();
    relay.stop().await;
    slot_goes(&desk).await;
    for number in 0..puts {
        open.submit(one(put(&format!("d-{number}"), "x"))).await.unwrap();
    }
    let relay = desk.following(&open.log).await;
    open.submit(one(retry("a"))).await.unwrap();
    assert_eq!(law::holds(&desk.backends).await.len(), 1 + puts + 1);
    relay.stop().await;
}

#[tokio::test]
async fn a_slot_that_is_gone_is_made_anew_and_nothing_is_lost() {
    let drop_it = async |desk: &Desk| {
        eventually("the slot is free", SOON, async || {
            let dropped = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active";
            desk.sql(dropped).await;
            match desk.ask("SELECT count(*) FROM pg_replication_slots").await.as_str() {
                "0" => Ok(()),
                _ => Err("it is still held".to_owned()),
            }
        })
        .await;
    };
    nothing_is_lost_where(drop_it, 10).await;
}

#[tokio::test]
async fn a_slot_that_postgres_gave_up_is_made_anew_and_nothing_is_lost() {
    let invalidate_it = async |desk: &Desk| {
        desk.sql("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'").await;
        desk.sql("SELECT pg_reload_conf()").await;
        desk.sql("CREATE TABLE foreign_table (x int)").await;
        eventually("the slot is lost", SOON, async || {
            desk.sql("INSERT INTO foreign_table VALUES (1); SELECT pg_switch_wal()").await;
            desk.sql("CHECKPOINT").await;
            match desk.ask("SELECT wal_status FROM pg_replication_slots").await {
                lost if lost == "lost" => Ok(()),
                other => Err(other),
            }
        })
        .await;
    };
    nothing_is_lost_where(invalidate_it, 1).await;
}

#[tokio::test]
async fn a_relay_that_waits_for_the_lock_holds_no_reader_up() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    open.submit(one(enrol("a"))).await.unwrap();
    let (holder, connection) = tokio_postgres::connect(&desk.backends.database(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    holder.batch_execute("BEGIN; SELECT FROM log_head FOR UPDATE").await.unwrap();
    let mut relay = desk.relay(&open.log).await;
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    eventually("the relay waits for the lock", SOON, async || match desk.ask(waiting).await.as_str() {
        "0" => Err("nobody waits".to_owned()),
        _ => Ok(()),
    })
    .await;
    tokio::time::timeout(Duration::from_secs(3), open.events()).await.expect("a reader does not wait");
    holder.batch_execute("ROLLBACK").await.unwrap();
    relay.follows().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_second_relay_waits_and_takes_over() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    let first = desk.following(&open.log).await;
    let mut second = desk.relay(&open.log).await;
    let waits = second.standing.wait_for(|standing| standing.phase == server::relay::Phase::Standby);
    drop(tokio::time::timeout(SOON, waits).await.expect("it waits").unwrap());
    open.submit(one(enrol("a"))).await.unwrap();
    first.stop().await;
    open.submit(one(retry("a"))).await.unwrap();
    second.follows().await;
    assert_eq!(law::holds(&desk.backends).await.len(), 2);
    second.stop().await;
}

#[tokio::test]
async fn an_idle_relay_stays_at_its_post() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    open.submit(json!({"commands": [enrol("a"), put("before", &"x".repeat(50_000))]})).await.unwrap();
    let mut relay = desk.following(&open.log).await;
    open.submit(one(put("after", &"y".repeat(50_000)))).await.unwrap();
    law::holds(&desk.backends).await;
    let published = relay.standing.wait_for(|standing| standing.published.get() == 3);
    drop(tokio::time::timeout(SOON, published).await.expect("it says so").unwrap());
    // Longer than it takes to find a silent stream out, and than several looks at what it keeps.
    let moved = tokio::time::timeout(Duration::from_secs(17), relay.standing.changed()).await;
    assert!(moved.is_err(), "it moved: {:?}", relay.standing.borrow());
    relay.stop().await;
}

#[tokio::test]
async fn what_nodes_write_can_not_be_rolled_up() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    let relay = desk.following(&open.log).await;
    let jetstream = desk.nats().await.jetstream();
    for bucket in [Bucket::Reported, Bucket::Proposed] {
        let subject = |key: &str| Prefix::default().bucket_subject(bucket, key);
        jetstream.publish(subject("other.x"), "kept".into()).await.unwrap().await.unwrap();
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Nats-Rollup", "all");
        let erased = jetstream.publish_with_headers(subject("mine.x"), headers, "mine".into()).await.unwrap().await;
        assert!(erased.is_err(), "{erased:?}");
        let mut stream = jetstream.get_stream(Prefix::default().bucket_stream(bucket)).await.unwrap();
        assert_eq!(stream.info().await.unwrap().state.messages, 1);
    }
    relay.stop().await;
}
