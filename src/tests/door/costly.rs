//! Costly questions: they have few places, and commands wait for none of them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::Method;
use serde_json::json;
use server::http::router::HttpLimits;
use tokio::time::timeout;

use crate::ask::{ADMIN, House, enrol, request};

const DEADLINE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn costly_questions_beyond_their_places_are_refused_and_no_command_waits_for_one() {
    let limits = HttpLimits { questions: 1, question_wait: Duration::from_millis(10), ..HttpLimits::default() };
    let house = House::with(limits);
    let written = house.done(json!([enrol("n-1", json!({}))])).await;
    let command = house.shown("/v1/events?after=2").await["items"][0]["command_id"].clone();
    let command = command.as_str().unwrap();
    house.log.set_slow(true);
    let first = house.get("/v1/fleet?at=1");
    let others = async {
        while house.log.folding.load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let again = house.done(json!([enrol("n-2", json!({}))])).await;
        assert_eq!(house.log.folding.load(Ordering::Relaxed), 1, "the command was answered before the question");
        let impact = format!("/v1/impact/{command}");
        for uri in ["/v1/documents?at=1", "/v1/events?at=1", "/v1/why/nodes/n-1/etc/motd", impact.as_str()] {
            let refused = house.get(uri).await;
            refused.is_problem(uri, 503, "too_many_questions", "");
            assert_eq!(refused.header("retry-after"), "1", "{uri}");
        }
        let dry = json!({"commands": [enrol("n-3", json!({}))]}).to_string();
        let dry = house.post("/v1/commands?dry_run=true", &[], &dry).await;
        dry.is_problem("a dry run", 503, "too_many_questions", "");
        assert_eq!(house.shown("/v1/fleet").await["nodes"], 2, "what is in memory is still shown");
        house.log.set_slow(false);
        again
    };
    let (first, again) = timeout(DEADLINE, async { tokio::join!(first, others) }).await.unwrap();
    assert_eq!((first.status.as_u16(), first.json()["position"].clone()), (200, json!(1)));
    assert_eq!((written["position"].clone(), again["position"].clone()), (json!(3), json!(4)));
    house.get("/v1/why/nodes/n-1/etc/motd").await.is_problem("its place is free again", 404, "unknown_file", "path");
}

#[tokio::test]
async fn the_questions_of_one_principal_do_not_keep_another_from_its_place() {
    // Long enough that only his own places can be what refuses him.
    let limits = HttpLimits { questions: 1, questions_each: 1, question_wait: DEADLINE, ..HttpLimits::default() };
    let house = House::with(limits);
    house.log.set_slow(true);
    let bearer = format!("Bearer {ADMIN}");
    let headers = [("authorization", bearer.as_str())];
    let hers = house.send(request(Method::GET, "/v1/fleet?at=1", &headers, ""));
    let his = house.get("/v1/fleet?at=1");
    let (mut his, mut hers) = (std::pin::pin!(his), std::pin::pin!(hers));
    assert!(futures::poll!(his.as_mut()).is_pending());
    assert!(futures::poll!(hers.as_mut()).is_pending(), "hers waits for its place");
    let second = timeout(DEADLINE / 4, house.get("/v1/fleet?at=0")).await.expect("he is refused at once");
    second.is_problem("his second", 503, "too_many_questions", "");
    house.log.set_slow(false);
    let (his, hers) = timeout(DEADLINE, async { tokio::join!(his, hers) }).await.unwrap();
    assert_eq!((his.status.as_u16(), hers.status.as_u16()), (200, 200));
}
