//! What is decided while the transaction before it is on its way: stored in one trip, unless somebody else appends meanwhile.

use std::future::Future;

use schema::answer::Answer;
use serde_json::{Value, json};
use store::log::SubmitError;
use tokio_postgres::{Client, NoTls};

use crate::SOON;
use crate::desk::{Desk, Open, enrol, named, one, open_behind, reasons, retry};
use testkit::eventually::eventually;
use testkit::law;
use testkit::proxy::Cut;

/// Lets nobody store an event until its transaction ends, and does not mind who takes the head row.
pub(crate) async fn hold(desk: &Desk) -> Client {
    let (holder, connection) = tokio_postgres::connect(&desk.backends.database(), NoTls).await.unwrap();
    tokio::spawn(connection);
    holder.batch_execute("BEGIN; LOCK TABLE event IN SHARE MODE").await.unwrap();
    holder
}

/// Waits until what is sent to be stored waits for the holder.
pub(crate) async fn waits(desk: &Desk) {
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
pub(crate) async fn submit_ahead(
    open: &Open,
    body: Value,
    release: impl Future<Output = ()>,
) -> Result<Answer, SubmitError> {
    tokio::join!(biased; open.submit(body), release).0
}

/// Submits one request, and another that is decided ahead while the first is on its way and goes in one trip; just before that
/// begins, `cut` is called.
async fn ahead(
    desk: &Desk,
    open: &Open,
    body: Value,
    cut: impl FnOnce(),
) -> (Result<Answer, SubmitError>, Result<Answer, SubmitError>) {
    // Nobody appended since this one did, so it is in no doubt about the head.
    open.submit(one(retry("a"))).await.unwrap();
    let holder = hold(desk).await;
    tokio::join!(open.submit(one(retry("a"))), async {
        waits(desk).await;
        cut();
        let release = async { holder.batch_execute("ROLLBACK").await.unwrap() };
        tokio::time::timeout(SOON, submit_ahead(open, body, release)).await.expect("answered soon")
    })
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
    assert_eq!(refused.refusal.code().as_str(), "node_retired");
    assert_eq!(open.log.view().position().get(), 5);
    assert_eq!(law::table(&desk.backends.database()).await.unwrap().len(), 5);
}

/// Where a transaction of one trip breaks: at the reason that it carries.
const BREAKS: [(&str, &[Cut]); 5] = [
    ("before", &[Cut::Before("before")]),
    ("after", &[Cut::After("after")]),
    ("looked up", &[Cut::After("looked up"), Cut::Before("SELECT EXISTS")]),
    ("barred", &[Cut::Before("barred"), Cut::Before("SET turn")]),
    ("barred unheard", &[Cut::Before("barred unheard"), Cut::After("SET turn")]),
];

#[tokio::test]
async fn wherever_a_transaction_of_one_trip_breaks_it_happens_once() {
    let desk = Desk::new().await;
    let (open, proxy) = open_behind(&desk).await;
    open.submit(one(enrol("a"))).await.unwrap();
    for (reason, cuts) in BREAKS {
        let (first, ahead) = ahead(&desk, &open, named(reason, retry("a")), || proxy.cut(cuts)).await;
        assert_eq!(proxy.left(), 0, "{reason}: it broke where it was to break");
        assert_eq!(ahead.unwrap().position, first.unwrap().position.next(), "{reason}");
        assert_eq!(reasons(&open.events().await).get(reason), Some(&1), "{reason}: once in the log");
    }
    assert_eq!(law::table(&desk.backends.database()).await.unwrap().len(), 1 + 3 * BREAKS.len());
}

/// How often the look for what became of it breaks: long enough for somebody to act meanwhile.
const LOOKS: usize = 6;

#[tokio::test]
async fn what_was_told_not_to_be_stored_is_not_stored_when_it_arrives_late() {
    let desk = Desk::new().await;
    let (open, proxy) = open_behind(&desk).await;
    open.submit(one(enrol("a"))).await.unwrap();
    let withheld = async {
        eventually("it is on its way", SOON, async || match proxy.late() {
            0 => Err("nothing is late".to_owned()),
            _ => Ok(()),
        })
        .await;
        open.log.withhold(Some("not now".to_owned()));
    };
    let cut = || {
        proxy.cut(&[Cut::Late("late")]);
        proxy.cut(&[Cut::Before("BEGIN"); LOOKS]);
    };
    let ((first, ahead), ()) = tokio::join!(ahead(&desk, &open, named("late", retry("a")), cut), withheld);
    assert_eq!(ahead, Err(SubmitError::Unavailable("not now".to_owned())));
    proxy.let_go();
    eventually("it has arrived", SOON, async || match proxy.late() {
        0 => Ok(()),
        _ => Err("it is late".to_owned()),
    })
    .await;
    let log = open.events().await;
    assert_eq!(log.last().map(|event| event.position), Some(first.unwrap().position), "nothing came behind it");
    open.log.withhold(None);
    open.submit(one(retry("a"))).await.unwrap();
    assert_eq!(law::table(&desk.backends.database()).await.unwrap().len(), log.len() + 1);
}
