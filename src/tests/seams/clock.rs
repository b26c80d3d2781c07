//! Clocks that are wrong: this server's, PostgreSQL's, and the log's time itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use program::clock::{Clock, system_time};
use schema::address::{APP_ROLE, Prefix};
use schema::event::Event;
use schema::instant::Instant;
use server::publish;
use server::publish::streams;
use store::log::SubmitError;

use crate::SOON;
use crate::ahead::{hold, submit_ahead, waits};
use crate::desk::{Desk, Open, enrol, one, retry};
use testkit::eventually::eventually;

const HOUR: i64 = 3_600;
const YEARS: i64 = 50 * 365 * 24 * HOUR;

/// A clock that is wrong by as many seconds as a test says.
#[derive(Clone, Default)]
struct WrongBy(Arc<AtomicI64>);

impl WrongBy {
    fn set(&self, seconds: i64) {
        self.0.store(seconds, Ordering::Relaxed);
    }

    fn clock(&self) -> Clock {
        let by = Arc::clone(&self.0);
        Clock::of(move || in_seconds(by.load(Ordering::Relaxed)))
    }

    async fn open(&self, desk: &Desk) -> Open {
        Desk::open_by(&desk.backends.database_as(APP_ROLE), self.clock()).await
    }
}

fn in_seconds(seconds: i64) -> Instant {
    Instant::from_unix_micros(system_time().unix_micros() + seconds * 1_000_000)
}

/// By how many seconds an event is dated ahead.
fn ahead(event: &Event) -> i64 {
    (event.at.unix_micros() - system_time().unix_micros()) / 1_000_000
}

async fn last(open: &Open) -> Event {
    open.events().await.pop().unwrap()
}

async fn says(what: &str, said: impl Fn() -> Option<String>) {
    eventually(what, SOON, async || match said() {
        Some(text) if text.contains(what) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

/// Lets a test say how wrong PostgreSQL's clock is, for sessions that are opened from now on.
async fn make_clock_movable(desk: &Desk) {
    desk.sql(
        "CREATE SCHEMA moved; CREATE TABLE moved.clock (by interval NOT NULL); INSERT INTO moved.clock VALUES ('0'); \
         CREATE FUNCTION moved.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE \
             AS 'SELECT pg_catalog.clock_timestamp() + by FROM moved.clock'; \
         GRANT USAGE ON SCHEMA moved TO PUBLIC; GRANT SELECT ON moved.clock TO PUBLIC; \
         ALTER DATABASE headwater SET search_path = moved, public, pg_catalog",
    )
    .await;
}

async fn asked_of_nats(desk: &Desk) -> Instant {
    let (jetstream, prefix) = (desk.nats().await.jetstream(), Prefix::default());
    streams::ensure(&jetstream, &prefix, 1).await.unwrap();
    publish::nats_clock::read(&jetstream, &prefix).await.unwrap()
}

async fn move_clock(desk: &Desk, by: i64) {
    desk.sql(&format!("UPDATE moved.clock SET by = make_interval(secs => {by})")).await;
}

#[tokio::test]
async fn a_server_whose_clock_is_ahead_appends_nothing_until_it_is_right() {
    let desk = Desk::new().await;
    let wrong = WrongBy::default();
    let (wrongly, other) = (wrong.open(&desk).await, desk.open().await);
    wrongly.submit(one(enrol("a"))).await.unwrap();
    wrong.set(YEARS);
    let refused = wrongly.submit_under(one(retry("a")), Some("k")).await;
    let Err(SubmitError::ClockAhead(said)) = refused else { panic!("it was appended: {refused:?}") };
    assert_eq!(said.of, "PostgreSQL", "{said}");
    says("this server's clock says", || wrongly.log.health().fault().map(Into::into)).await;

    // Others are not spoiled by it.
    other.submit(one(retry("a"))).await.unwrap();
    assert!(ahead(&last(&other).await) <= 0);
    assert_eq!(other.events().await.len(), 2);

    // A minute is no fault, and it goes on by itself.
    wrong.set(50);
    wrongly.submit_under(one(retry("a")), Some("k")).await.unwrap();
    eventually("it is well", SOON, async || match wrongly.log.health().fault() {
        None => Ok(()),
        Some(fault) => Err(fault.to_owned()),
    })
    .await;
}

#[tokio::test]
async fn what_was_decided_ahead_by_a_clock_that_is_ahead_is_not_stored() {
    let desk = Desk::new().await;
    let wrong = WrongBy::default();
    let open = wrong.open(&desk).await;
    open.submit(one(enrol("a"))).await.unwrap();
    // Nobody appended since this one did, so it is in no doubt about the head.
    open.submit(one(retry("a"))).await.unwrap();
    let holder = hold(&desk).await;
    let (before, decided_ahead) = tokio::join!(open.submit(one(retry("a"))), async {
        waits(&desk).await;
        wrong.set(YEARS);
        submit_ahead(&open, one(retry("a")), async { holder.batch_execute("ROLLBACK").await.unwrap() }).await
    });
    before.unwrap();
    assert!(matches!(decided_ahead, Err(SubmitError::ClockAhead(_))), "{decided_ahead:?}");
    assert_eq!(open.events().await.len(), 3);
    assert!(ahead(&last(&open).await) <= 0);
}

#[tokio::test]
async fn a_postgres_that_woke_in_the_past_is_said_and_nats_bounds_the_time() {
    let desk = Desk::new().await;
    make_clock_movable(&desk).await;
    let wrong = WrongBy::default();
    let open = wrong.open(&desk).await;
    open.submit(one(enrol("a"))).await.unwrap();
    let doubt = || open.log.health().doubt().map(String::from);
    move_clock(&desk, -HOUR).await;

    // Nobody tells who is wrong: commands are taken, and the log's time stands still.
    let before = last(&open).await.at;
    open.submit(one(retry("a"))).await.unwrap();
    assert_eq!(last(&open).await.at, before);
    says("one of the two is wrong", doubt).await;

    open.log.nats_clock().said(asked_of_nats(&desk).await);
    open.submit(one(retry("a"))).await.unwrap();
    assert!(last(&open).await.at > before);
    says("PostgreSQL's is the wrong one", doubt).await;
    wrong.set(HOUR);
    let refused = open.submit(one(retry("a"))).await;
    assert!(matches!(&refused, Err(SubmitError::ClockAhead(ahead)) if ahead.of == "NATS"), "{refused:?}");

    wrong.set(0);
    move_clock(&desk, 0).await;
    open.submit(one(retry("a"))).await.unwrap();
    assert_eq!((doubt(), open.events().await.len()), (None, 4));
}

#[tokio::test]
async fn a_log_that_is_spoiled_already_goes_on_and_is_said_to_be() {
    let desk = Desk::new().await;
    make_clock_movable(&desk).await;
    let wrong = WrongBy::default();
    let open = wrong.open(&desk).await;
    // Both clocks are wrong, as a program had it that did not ask.
    wrong.set(YEARS);
    move_clock(&desk, YEARS).await;
    open.submit(one(enrol("a"))).await.unwrap();
    wrong.set(0);
    move_clock(&desk, 0).await;
    open.log.nats_clock().said(system_time());
    let spoiled = last(&open).await.at;
    for number in 2..5 {
        open.submit(one(retry("a"))).await.unwrap();
        let event = last(&open).await;
        assert_eq!((event.position.get(), event.at), (number, spoiled));
    }
    says("the log's time is 18249 days ahead", || open.log.health().doubt().map(String::from)).await;
    assert_eq!(open.log.health().fault(), None);
    wrong.set(2 * YEARS);
    let refused: Result<_, SubmitError> = open.submit(one(retry("a"))).await;
    assert!(matches!(refused, Err(SubmitError::ClockAhead(_))), "{refused:?}");
}
