//! What is decided while the transaction before it is on its way: stored in one trip, unless somebody else appends meanwhile.

use std::future::Future;

use headwater::log::handle::SubmitError;
use schema::answer::Answer;
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};

use crate::desk::{Desk, Open, enrol, named, one, open_behind, reasons, retry};
use crate::eventually::eventually;
use crate::proxy::Cut;
use crate::{SOON, law};

/// Lets nobody store an event until its transaction ends, and does not mind who takes the head row.
async fn hold(desk: &Desk) -> Client {
    let (holder, connection) = tokio_postgres::connect(&desk.ground.database(), NoTls).await.unwrap();
    tokio::spawn(connection);
    holder.batch_execute("BEGIN; LOCK TABLE event IN SHARE MODE").await.unwrap();
    holder
}

/// Waits until what is sent to be stored waits for the holder.
async fn waits(desk: &Desk) {
    reads(desk, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'", "1").await;
}

async fn reads(desk: &Desk, query: &str, wanted: &str) {
    eventually(query, SOON, async || match desk.ask(query).await {
        found if found == wanted => Ok(()),
        found => Err(found),
    })
    .await;
}

/// Submits what is decided ahead for certain: the transaction before it is answered once this came into the line.
async fn submit_ahead(open: &Open, body: Value, release: impl Future<Output = ()>) -> Result<Answer, SubmitError> {
    tokio::join!(biased; open.submit(body), release).0
}

#[tokio::test]
async fn what_is_decided_ahead_is_decided_again_if_another_process_appended() {
    let desk = Desk::new().await;
    let ((open, proxy), other) = (open_behind(&desk).await, desk.open().await);
    open.submit(json!({"commands": [enrol("a"), enrol("b")]})).await.unwrap();
    // Nobody appended since this one did, so it is in no doubt about the head.
    open.submit(one(retry("a"))).await.unwrap();
    let holder = hold(&desk).await;
    let (first, ahead) = tokio::join!(open.submit(one(retry("a"))), async {
        waits(&desk).await;
        proxy.hold_back(true);
        holder.batch_execute("ROLLBACK").await.unwrap();
        reads(&desk, "SELECT position FROM log_head", "4").await;
        other.submit(one(json!({"type": "retire_node", "id": "b"}))).await.unwrap();
        submit_ahead(&open, one(retry("b")), async { proxy.hold_back(false) }).await
    });
    assert_eq!(first.unwrap().position.get(), 4);
    let Err(SubmitError::Refused(refused)) = ahead else { panic!("the node was retired before: {ahead:?}") };
    assert_eq!(refused.refusal.code(), "node_retired");
    assert_eq!(open.log.view().position().get(), 5);
    assert_eq!(law::table(&desk.ground.database()).await.unwrap().len(), 5);
}

/// Where a transaction of one trip breaks.
const BREAKS: [&[Cut]; 5] = [
    &[Cut::Before("BEGIN")],
    &[Cut::After("BEGIN")],
    &[Cut::Before("COMMIT")],
    &[Cut::After("COMMIT")],
    &[Cut::After("COMMIT"), Cut::Before("SELECT EXISTS")],
];

#[tokio::test]
async fn wherever_a_transaction_of_one_trip_breaks_it_happens_once() {
    let desk = Desk::new().await;
    let (open, proxy) = open_behind(&desk).await;
    open.submit(one(enrol("a"))).await.unwrap();
    for (number, cuts) in BREAKS.into_iter().enumerate() {
        open.submit(one(retry("a"))).await.unwrap();
        let holder = hold(&desk).await;
        let reason = format!("{number} {cuts:?}");
        let (first, ahead) = tokio::join!(open.submit(one(retry("a"))), async {
            waits(&desk).await;
            proxy.cut(cuts);
            let release = async { holder.batch_execute("ROLLBACK").await.unwrap() };
            let submitted = submit_ahead(&open, named(&reason, retry("a")), release);
            tokio::time::timeout(SOON, submitted).await.expect("answered soon")
        });
        assert_eq!(proxy.left(), 0, "{reason}: it broke where it was to break");
        assert_eq!(ahead.unwrap().position, first.unwrap().position.next(), "{reason}");
        assert_eq!(reasons(&open.events().await).get(&reason), Some(&1), "{reason}: once in the log");
    }
    assert_eq!(law::table(&desk.ground.database()).await.unwrap().len(), 1 + 3 * BREAKS.len());
}
