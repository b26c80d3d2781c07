//! Connections that break at the worst moments: what was answered is in the log once, what was not accepted is not in it,
//! and nobody waits for ever.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use store::log::SubmitError;
use tokio::task::JoinSet;

use crate::SOON;
use crate::desk::{Desk, enrol, named, one, open_behind, put, reasons, retry};
use testkit::eventually::eventually;
use testkit::law;
use testkit::proxy::Cut;

/// Where an append breaks: before it is stored, after it, and while it is looked up which of the two it was.
const BREAKS: [&[Cut]; 8] = [
    &[Cut::Before("BEGIN")],
    &[Cut::After("BEGIN")],
    &[Cut::Before("COMMIT")],
    &[Cut::After("COMMIT")],
    &[Cut::After("COMMIT"), Cut::Before("BEGIN")],
    &[Cut::After("COMMIT"), Cut::Before("SELECT EXISTS")],
    &[Cut::After("COMMIT"), Cut::Before("ROLLBACK")],
    &[Cut::Before("COMMIT"), Cut::Before("SELECT EXISTS"), Cut::After("COMMIT"), Cut::After("SELECT EXISTS")],
];

#[tokio::test]
async fn wherever_an_append_breaks_it_happens_once() {
    let desk = Desk::new().await;
    let (open, proxy) = open_behind(&desk).await;
    open.submit(one(enrol("a"))).await.unwrap();
    for (number, cuts) in BREAKS.into_iter().enumerate() {
        for keyed in [false, true] {
            proxy.cut(cuts);
            let reason = format!("{number} {keyed} {cuts:?}");
            let key = format!("key-{number}");
            let submitted = open.submit_under(named(&reason, retry("a")), keyed.then_some(&key));
            let answer = tokio::time::timeout(SOON, submitted).await.expect("answered soon").expect(&reason);
            assert_eq!(proxy.left(), 0, "{reason}: it broke where it was to break");
            let log = open.events().await;
            assert_eq!(reasons(&log).get(&reason), Some(&1), "{reason}: once in the log");
            let last = log.last().unwrap();
            assert_eq!((answer.position, answer.events[0].version), (last.position, last.version), "{reason}");
        }
    }
    assert_eq!(law::table(&desk.backends.database()).await.unwrap().len(), 1 + 2 * BREAKS.len());
}

#[tokio::test]
async fn a_keyed_request_that_changes_nothing_survives_an_unknown_outcome() {
    let desk = Desk::new().await;
    let (open, proxy) = open_behind(&desk).await;
    open.submit(one(enrol("a"))).await.unwrap();
    for (key, cut) in [("before", Cut::Before("COMMIT")), ("after", Cut::After("COMMIT"))] {
        proxy.cut(&[cut]);
        let answer = open.submit_under(one(enrol("a")), Some(key)).await.unwrap();
        assert!(answer.events.is_empty());
        assert_eq!(open.submit_under(one(enrol("a")), Some(key)).await.unwrap(), answer);
    }
    assert_eq!(desk.ask("SELECT count(*) FROM receipt").await, "2");
}

/// How often the look for what became of it breaks: long enough for somebody to act meanwhile.
const LOOKS: usize = 6;

#[tokio::test]
async fn what_was_not_committed_is_not_sent_again_once_nothing_may_be_appended() {
    let desk = Desk::new().await;
    let (open, proxy) = open_behind(&desk).await;
    open.submit(one(enrol("a"))).await.unwrap();
    proxy.cut(&[Cut::Before("COMMIT")]);
    proxy.cut(&[Cut::Before("BEGIN"); LOOKS]);
    let withheld = async {
        eventually("the commit is lost", SOON, async || match proxy.left() {
            0..=LOOKS => Ok(()),
            left => Err(format!("{left} cuts are left")),
        })
        .await;
        open.log.withhold(Some("not now".to_owned()));
    };
    let (answer, ()) = tokio::join!(open.submit(one(retry("a"))), withheld);
    assert_eq!(answer, Err(SubmitError::Unavailable("not now".to_owned())));
    assert_eq!((proxy.left(), open.events().await.len()), (0, 1));
    open.log.withhold(None);
    open.submit(one(retry("a"))).await.unwrap();
}

/// How many sessions are struck, at random.
const STORM_SESSIONS: usize = 60;
/// What strikes them: the session ends, or what it does at that moment is cancelled.
const STRIKES: [&str; 2] = ["pg_terminate_backend", "pg_cancel_backend"];

#[tokio::test]
async fn a_storm_of_ended_sessions_and_cancelled_statements_loses_and_repeats_nothing() {
    let seed =
        std::env::var("HEADWATER_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(fastrand::u64(..));
    println!("HEADWATER_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let desk = Desk::new().await;
    let opens = [desk.open().await, desk.open().await].map(std::sync::Arc::new);
    opens[0].submit(one(enrol("a"))).await.unwrap();
    opens[1].log.reached(1.into()).await;
    let is_over = std::sync::Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for caller in 0..16 {
        // Most come to the one of them, which so has something to decide ahead.
        let open = &opens[usize::from(caller % 8 == 0)];
        let (open, is_over) = (std::sync::Arc::clone(open), std::sync::Arc::clone(&is_over));
        callers.spawn(async move {
            let mut told = BTreeMap::new();
            for turn in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                let reason = format!("{caller} {turn}");
                let body = match turn % 3 {
                    0 => named(&reason, put(&format!("d-{caller}"), &reason)),
                    _ => named(&reason, retry("a")),
                };
                told.insert(reason, open.submit(body).await);
            }
            told
        });
    }
    let (client, connection) = tokio_postgres::connect(&desk.backends.database(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let mut struck = 0;
    while struck < STORM_SESSIONS {
        let strike = random.choice(STRIKES).unwrap();
        let all = format!("SELECT {strike}(pid) FROM pg_stat_activity WHERE application_name LIKE 'headwater %'");
        struck += client.query(&all, &[]).await.unwrap().len();
        // The storm is what is tested: how it blows is random, and nothing waits for it.
        tokio::time::sleep(Duration::from_millis(random.u64(0..60))).await;
    }
    is_over.store(true, Ordering::Relaxed);
    let mut told = BTreeMap::new();
    while let Some(one) = tokio::time::timeout(SOON, callers.join_next()).await.expect("all are answered") {
        told.extend(one.unwrap());
    }
    let log = opens[0].events().await;
    let times = reasons(&log);
    let (mut accepted, mut failed) = (0, 0);
    for (reason, answer) in &told {
        match answer {
            Ok(answer) => {
                accepted += 1;
                assert_eq!(times.get(reason), Some(&1), "{reason}");
                let event = &log[usize::try_from(answer.position.get()).unwrap() - 1];
                assert_eq!(event.reason.as_ref(), Some(reason), "{answer:?}");
            }
            // The appender says this only where nothing can have been stored.
            Err(SubmitError::Unavailable(_)) => {
                failed += 1;
                assert_eq!(times.get(reason), None, "{reason}");
            }
            Err(other) => panic!("{reason}: {other}"),
        }
    }
    println!("{struck} sessions struck; {accepted} accepted, {failed} failed");
    assert!(accepted > 0);
    assert_eq!(law::table(&desk.backends.database()).await.unwrap().len(), log.len());
}
