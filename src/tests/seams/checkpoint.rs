//! What is public is signed for, and a database that was put back or rewritten is not.

use futures::StreamExt as _;
use replay::checkpoint::Checkpoint;
use replay::tree::{Frontier, TreeQuery, check_consistency};
use schema::position::Position;
use serde_json::json;
use server::relay::Phase;
use store::checkpoint::StoredCheckpoint;

use crate::SOON;
use crate::desk::{Desk, Open, Relaying, enrol, one, retry};
use testkit::eventually::eventually;

/// The note in bucket `cfg_checkpoint`, as any client reads it.
async fn outside(desk: &Desk) -> Option<String> {
    let link = desk.nats().await;
    let store = link.jetstream().get_key_value("cfg_checkpoint").await.unwrap();
    store.get("newest").await.unwrap().map(|note| String::from_utf8(note.to_vec()).unwrap())
}

/// Waits until the log is signed for up to a position, and gives the checkpoint.
async fn signed(desk: &Desk, open: &Open, position: u64) -> (StoredCheckpoint, Checkpoint) {
    let newest = eventually("it is signed for", SOON, async || {
        let newest = open.log.reader().newest_checkpoint().await.unwrap();
        newest.filter(|newest| newest.position.get() >= position).ok_or("not yet".into())
    })
    .await;
    let opened = Checkpoint::open(newest.note.as_bytes(), desk.log_id, &desk.key.public()).unwrap();
    assert_eq!(opened.position, newest.position);
    (newest, opened)
}

/// Waits until the relay says what keeps it from its work.
async fn fault(relay: &Relaying, of: &str) -> String {
    let mut standing = relay.standing.clone();
    let is_said = |fault: &Option<String>| fault.as_ref().is_some_and(|fault| fault.contains(of));
    let waited = tokio::time::timeout(SOON, standing.wait_for(|standing| is_said(&standing.fault))).await;
    let found = waited.unwrap_or_else(|_| panic!("no fault of \"{of}\": {:?}", relay.standing.borrow())).unwrap();
    assert_ne!(found.phase, Phase::Following);
    found.fault.clone().unwrap()
}

async fn published(desk: &Desk) -> usize {
    testkit::law::stream(&desk.backends.nats.url()).await.unwrap().len()
}

#[tokio::test]
async fn what_is_public_is_signed_for_inside_and_outside() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    open.submit(one(enrol("a"))).await.unwrap();
    let relay = desk.following(&open.log).await;
    let (first, said) = signed(&desk, &open, 1).await;
    let leaves = async || open.events().await.into_iter().map(|event| event.leaf);
    assert_eq!(said.root, Frontier::over(leaves().await).root());
    assert_eq!(outside(&desk).await, Some(first.note), "the newest is kept in NATS as well");

    for number in 0..300 {
        open.submit(json!({"commands": vec![retry("a"); number % 3 + 1]})).await.unwrap();
    }
    let (_, later) = signed(&desk, &open, 600).await;
    let to = later.position;
    assert_eq!(later.root, Frontier::over(leaves().await.take(usize::try_from(to.get()).unwrap())).root());
    let all = open.log.reader().checkpoints(Position::ZERO, to, 10).await.unwrap();
    let opened =
        all.iter().map(|kept| Checkpoint::open(kept.note.as_bytes(), desk.log_id, &desk.key.public()).unwrap());
    let opened: Vec<_> = opened.collect();
    assert!(opened.len() >= 2);
    for pair in opened.windows(2) {
        let (from, to) = ((pair[0].position, pair[0].root), (pair[1].position, pair[1].root));
        let question = TreeQuery::Consistency { from: from.0, to: to.0 };
        check_consistency(&open.log.reader().answer(question).await.unwrap(), from, to).unwrap();
    }
    assert_eq!(open.log.reader().checkpoints(to, Position::from(u64::MAX >> 1), 10).await.unwrap(), []);
    relay.stop().await;

    // The next relay goes on from there, and an idle log is not signed for again.
    let relay = desk.following(&open.log).await;
    open.submit(one(retry("a"))).await.unwrap();
    signed(&desk, &open, to.get() + 1).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_database_that_was_put_back_is_neither_signed_for_nor_published() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    for number in 0..5 {
        open.submit(one(enrol(&format!("n-{number}")))).await.unwrap();
    }
    let root = desk.ask("SELECT encode(root, 'hex') FROM log_head").await;
    open.submit(one(enrol("last"))).await.unwrap();
    let relay = desk.following(&open.log).await;
    signed(&desk, &open, 6).await;
    relay.stop().await;
    drop(open);
    // As a backup from before has it. What NATS holds of the events is gone as well, so that only the checkpoint tells.
    desk.sql(&format!(
        "SET session_replication_role = replica; DELETE FROM event WHERE position = 6; DELETE FROM checkpoint; \
         UPDATE log_head SET position = 5, root = '\\x{root}'"
    ))
    .await;
    let jetstream = desk.nats().await.jetstream();
    for stream in ["cfg_events", "KV_cfg_desired"] {
        jetstream.delete_stream(stream).await.unwrap();
    }
    let before = outside(&desk).await;
    let open = desk.open().await;
    let relay = desk.relay(&open.log).await;
    let said = fault(&relay, "checkpoint").await;
    assert!(said.contains("at position 6") && said.contains("ends at 5"), "{said}");
    // Though it grows beyond it, it is another log by then.
    for _ in 0..3 {
        open.submit(one(retry("n-0"))).await.unwrap();
    }
    let said = fault(&relay, "signed at position 6").await;
    assert!(said.contains("up to position 8"), "{said}");
    relay.stop().await;
    assert_eq!(outside(&desk).await, before);
    assert_eq!(desk.ask("SELECT count(*) FROM checkpoint").await, "0");
    let names = jetstream.stream_names().map(Result::unwrap).collect::<Vec<String>>().await;
    assert!(!names.contains(&"cfg_events".into()) || published(&desk).await == 0, "nothing of it is published");
}

#[tokio::test]
async fn a_checkpoint_that_nobody_signed_is_replaced_by_the_tables() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    open.submit(one(enrol("a"))).await.unwrap();
    let relay = desk.following(&open.log).await;
    signed(&desk, &open, 1).await;
    let store = desk.nats().await.jetstream().get_key_value("cfg_checkpoint").await.unwrap();
    let ours = store.get("newest").await.unwrap().unwrap();
    store.put("newest", "a note".into()).await.unwrap();
    eventually("it is replaced", SOON, async || match outside(&desk).await {
        Some(note) if note.as_bytes() == ours => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    // Where nothing else is signed, nobody can tell what it was.
    desk.sql("SET session_replication_role = replica; DELETE FROM checkpoint").await;
    store.put("newest", "a note".into()).await.unwrap();
    open.submit(one(retry("a"))).await.unwrap();
    let said = fault(&relay, "can't be trusted").await;
    assert!(said.contains("no signed note"), "{said}");
    assert_eq!(outside(&desk).await.as_deref(), Some("a note"));
    store.put("newest", ours).await.unwrap();
    signed(&desk, &open, 2).await;
    // What is gone with all of NATS is put there again.
    store.purge("newest").await.unwrap();
    open.submit(one(retry("a"))).await.unwrap();
    let (kept, _) = signed(&desk, &open, 3).await;
    assert_eq!(outside(&desk).await, Some(kept.note));
    relay.stop().await;
}
