//! Answers: bounded in bytes, and counted for as long as they are in memory.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use axum::response::Response;
use futures::StreamExt as _;
use serde_json::{Value, json};
use server::http::router::HttpLimits;
use tower::ServiceExt as _;

use crate::ask::{ADMIN, AUDITOR, House, enrol, put, request};

const MIB: usize = 1024 * 1024;
/// What an answer waits for room in memory.
const WAIT: Duration = Duration::from_millis(10);

impl House {
    /// A house of one document of a mebibyte.
    async fn with_a_mebibyte(limits: HttpLimits) -> Self {
        let house = Self::with(limits);
        house.done(json!([put("d", "d", &"x".repeat(MIB), json!({"all": true}))])).await;
        house
    }

    /// Asks, and reads nothing of the answer.
    async fn unread(&self, token: &str, uri: &str) -> Response {
        let asked = request(Method::GET, uri, &[("authorization", &format!("Bearer {token}"))], "");
        let response = self.router.clone().oneshot(asked).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response
    }
}

#[tokio::test]
async fn a_page_is_full_before_it_is_too_large_and_the_next_one_goes_on() {
    let house = House::new();
    let control = |number: usize| json!({"type": "define_control", "id": format!("c-{number:02}"), "title": "t", "statement": "x".repeat(250_000)});
    for first in [0, 20] {
        house.done(Value::from_iter((first..first + 20).map(control))).await;
    }
    for (list, show) in [("/v1/controls?limit=1000", "id"), ("/v1/events?limit=1000", "position")] {
        let (mut cursor, mut pages, mut items) = (String::new(), 0, Vec::new());
        loop {
            let page = house.get(&format!("{list}&cursor={cursor}")).await;
            assert!(page.body.len() < 9 * MIB, "{list}: a page of {} bytes", page.body.len());
            let page = page.json();
            pages += 1;
            items.extend(page["items"].as_array().unwrap().iter().map(|item| item[show].to_string()));
            match page["next"].as_str() {
                Some(next) => cursor = next.to_string(),
                None => break,
            }
        }
        let mut once = items.clone();
        once.dedup();
        assert_eq!((pages, once.len()), (2, if show == "id" { 40 } else { 42 }), "{list}: {items:?}");
        assert_eq!(once.len(), items.len(), "{list}");
    }
}

#[tokio::test]
async fn the_bytes_of_answers_are_counted_until_they_are_read_and_for_each_principal() {
    let each = HttpLimits { answers_each_kib: 3 * 1024, answer_wait: WAIT, ..HttpLimits::default() };
    let all = HttpLimits { answers_kib: 3 * 1024, answer_wait: WAIT, ..HttpLimits::default() };
    for (limits, are_others_refused) in [(each, false), (all, true)] {
        let house = House::with_a_mebibyte(limits).await;
        let content = "/v1/documents/d/content";
        let (first, second) = (house.unread(AUDITOR, content).await, house.unread(AUDITOR, content).await);
        let refused = house.get(content).await;
        refused.is_problem("two wait to be read", 503, "overloaded", "");
        assert_eq!(refused.header("retry-after"), "1");
        let bearer = format!("Bearer {ADMIN}");
        let other = house.send(request(Method::GET, content, &[("authorization", &bearer)], "")).await;
        assert_eq!(other.status == StatusCode::SERVICE_UNAVAILABLE, are_others_refused, "{other}");
        assert_eq!(house.ask(json!([enrol("n-1", json!({}))])).await.status, StatusCode::OK, "commands are taken");
        // What was taken out of the body is on its way to the socket, and still in memory.
        let mut body = first.into_body().into_data_stream();
        let bytes = body.next().await.unwrap().unwrap();
        drop(body);
        house.get(content).await.is_problem("not sent yet", 503, "overloaded", "");
        drop(bytes);
        assert_eq!(house.get(content).await.status, StatusCode::OK);
        drop(second);
    }
}

#[tokio::test]
async fn what_is_read_for_a_stream_is_counted_until_it_is_sent() {
    // Room for one stream to read, and for what was read once beside.
    let house =
        House::with_a_mebibyte(HttpLimits { answers_each_kib: 400, answer_wait: WAIT, ..HttpLimits::default() }).await;
    let control = |number: usize| json!({"type": "define_control", "id": format!("c-{number}"), "title": "t", "statement": "x".repeat(120_000)});
    house.done(Value::from_iter((0..3).map(control))).await;
    let bearer = format!("Bearer {AUDITOR}");
    let headers = [("authorization", bearer.as_str()), ("accept", "text/event-stream")];
    let asked = || request(Method::GET, "/v1/events?after=3", &headers, "");
    let stream = async || house.router.clone().oneshot(asked()).await.unwrap();
    let mut first = stream().await.into_body().into_data_stream();
    let line = first.next().await.unwrap().unwrap();
    drop(first);
    house.send(asked()).await.is_problem("there is no room to read", 503, "overloaded", "");
    drop(line);
    assert_eq!(stream().await.status(), StatusCode::OK);
}

#[tokio::test]
async fn one_request_too_many_of_one_principal_is_refused_and_no_other_is() {
    let house = House::with(HttpLimits { requests_each: 1, ..HttpLimits::default() });
    house.log.is_stuck.store(true, Ordering::Relaxed);
    let stuck = house.ask(json!([enrol("n-1", json!({}))]));
    let mut stuck = std::pin::pin!(stuck);
    assert!(futures::poll!(stuck.as_mut()).is_pending());
    let refused = house.ask(json!([])).await;
    refused.is_problem("hers", 503, "overloaded", "");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(house.get("/v1/log").await.status, StatusCode::OK, "his");
}
