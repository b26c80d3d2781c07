//! The log as it grows, told as it grows.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::BodyDataStream;
use axum::http::{Method, StatusCode};
use futures::StreamExt;
use serde_json::{Value, json};
use server::http::router::HttpLimits;
use tokio::time::timeout;
use tower::ServiceExt;

use crate::ask::{ADMIN, AUDITOR, House, enrol, request};

/// What asks for a stream.
const LIVE: (&str, &str) = ("accept", "text/event-stream");

/// An open stream of events.
pub(crate) struct Stream {
    body: BodyDataStream,
    buffer: String,
}

impl House {
    pub(crate) async fn listen(&self, uri: &str, headers: &[(&str, &str)]) -> Stream {
        self.listen_as(ADMIN, uri, headers).await
    }

    pub(crate) async fn listen_as(&self, token: &str, uri: &str, headers: &[(&str, &str)]) -> Stream {
        let bearer = format!("Bearer {token}");
        let mut all = vec![("authorization", bearer.as_str()), LIVE];
        all.extend(headers);
        let response = self.router.clone().oneshot(request(Method::GET, uri, &all, "")).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Stream { body: response.into_body().into_data_stream(), buffer: String::new() }
    }
}

impl Stream {
    /// The next event: its id, its type, its data. None at the end.
    pub(crate) async fn next(&mut self) -> Option<(u64, String, Value)> {
        loop {
            if let Some((message, rest)) = self.buffer.split_once("\n\n") {
                let message = message.to_string();
                self.buffer = rest.to_string();
                let field = |name: &str| {
                    let line = message.lines().find_map(|line| line.strip_prefix(name));
                    line.map(str::to_string)
                };
                let Some(data) = field("data: ") else { continue };
                return Some((
                    field("id: ")?.parse().unwrap(),
                    field("event: ")?,
                    serde_json::from_str(&data).unwrap(),
                ));
            }
            let chunk = timeout(Duration::from_secs(10), self.body.next()).await.expect("the stream is silent")?;
            self.buffer.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
    }

    /// The next bytes, whatever they are.
    pub(crate) async fn chunk(&mut self) -> axum::body::Bytes {
        self.body.next().await.unwrap().unwrap()
    }

    async fn ids(&mut self, count: usize) -> Vec<u64> {
        let mut ids = Vec::new();
        for _ in 0..count {
            ids.push(self.next().await.unwrap().0);
        }
        ids
    }
}

#[tokio::test]
async fn a_stream_tells_what_was_and_goes_on_with_what_comes() {
    let house = House::new();
    let mut stream = house.listen("/v1/events", &[]).await;
    assert_eq!(stream.ids(2).await, [1, 2]);
    house.done(json!([enrol("n-1", json!({})), enrol("n-2", json!({}))])).await;
    let (id, kind, data) = stream.next().await.unwrap();
    assert_eq!((id, kind.as_str()), (3, "NodeEnrolled"));
    let paged = house.shown("/v1/events?after=2&limit=1").await;
    assert_eq!(data, paged["items"][0], "a stream and a page show the same");
    assert_eq!(stream.ids(1).await, [4]);
}

#[tokio::test]
async fn a_stream_begins_where_the_client_was() {
    let house = House::new();
    house.done(json!([enrol("n-1", json!({})), enrol("n-2", json!({}))])).await;
    assert_eq!(house.listen("/v1/events?after=3", &[]).await.ids(1).await, [4]);
    let mut resumed = house.listen("/v1/events?after=1", &[("last-event-id", "2")]).await;
    assert_eq!(resumed.ids(2).await, [3, 4]);
    let mut filtered = house.listen("/v1/events?entity=node/n-2", &[]).await;
    assert_eq!(filtered.ids(1).await, [4]);
    house.done(json!([{"type": "retry_node", "id": "n-1"}, {"type": "retry_node", "id": "n-2"}])).await;
    assert_eq!(filtered.ids(1).await, [6]);
    assert_eq!(house.listen("/v1/events?type=NodeRetried", &[]).await.ids(2).await, [5, 6]);
}

#[tokio::test]
async fn a_long_history_is_told_without_gap_or_repeat() {
    let house = House::new();
    let nodes: Vec<Value> = (0..999).map(|number| enrol(&format!("n-{number}"), json!({}))).collect();
    house.done(json!(nodes)).await;
    let told = house.listen("/v1/events", &[]).await.ids(1_001).await;
    assert_eq!(told, (1..=1_001).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_bad_stream_is_refused_before_it_begins() {
    let house = House::new();
    let bearer = format!("Bearer {ADMIN}");
    let ask = async |uri: &str, last: &str| {
        let headers = [("authorization", bearer.as_str()), ("accept", "text/event-stream"), ("last-event-id", last)];
        house.send(request(Method::GET, uri, &headers, "")).await
    };
    ask("/v1/events", "x").await.is_problem("last", 400, "invalid_parameter", "Last-Event-ID");
    ask("/v1/events?at=1", "1").await.is_problem("at", 400, "invalid_parameter", "at");
}

#[tokio::test]
async fn streams_end_when_the_door_closes_or_their_caller_is_revoked() {
    let house = House::new();
    let hash = schema::digest::Digest::of(b"eve-token");
    let eve = json!({"type": "create_principal", "name": "eve", "role": "auditor", "token_hash": hash});
    house.done(json!([eve])).await;
    let mut hers = house.listen_as("eve-token", "/v1/events?after=3", &[]).await;
    let mut ours = house.listen("/v1/events?after=3", &[]).await;
    house.done(json!([{"type": "revoke_principal", "name": "eve"}])).await;
    assert_eq!(hers.next().await, None, "she learns nothing more, not even that");
    assert_eq!(ours.ids(1).await, [4]);
    house.closing.cancel();
    assert_eq!(ours.next().await, None);
}

#[tokio::test]
async fn one_stream_too_many_is_refused_until_another_ends() {
    let house = House::with(HttpLimits { streams: 1, ..HttpLimits::default() });
    let stream = house.listen("/v1/events", &[]).await;
    let bearer = format!("Bearer {ADMIN}");
    let headers = [("authorization", bearer.as_str()), ("accept", "text/event-stream")];
    let refused = house.send(request(Method::GET, "/v1/events", &headers, "")).await;
    refused.is_problem("second", 503, "too_many_streams", "");
    drop(stream);
    house.listen("/v1/events", &[]).await;
}

#[tokio::test]
async fn a_stream_lives_no_longer_than_the_token_that_opened_it() {
    let house = House::new();
    let eve = |token: &str| {
        let hash = schema::digest::Digest::of(token.as_bytes());
        json!({"type": "create_principal", "name": "eve", "role": "auditor", "token_hash": hash})
    };
    house.done(json!([eve("old-token")])).await;
    let mut old = house.listen_as("old-token", "/v1/events?after=3", &[]).await;
    // In one request, so that nobody ever sees a log without her.
    house.done(json!([{"type": "revoke_principal", "name": "eve"}, eve("new-token")])).await;
    assert_eq!(old.next().await, None);
    assert_eq!(house.listen_as("new-token", "/v1/events?after=3", &[]).await.ids(2).await, [4, 5]);
}

#[tokio::test]
async fn one_stream_too_many_of_one_principal_is_refused_and_no_other_is() {
    let house = House::with(HttpLimits { streams_each: 1, ..HttpLimits::default() });
    let _hers = house.listen("/v1/events", &[]).await;
    let bearer = format!("Bearer {ADMIN}");
    let headers = [("authorization", bearer.as_str()), ("accept", "text/event-stream")];
    let refused = house.send(request(Method::GET, "/v1/events", &headers, "")).await;
    refused.is_problem("hers", 503, "too_many_streams", "");
    house.listen_as(AUDITOR, "/v1/events", &[]).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_says_from_time_to_time_that_it_is_there() {
    let house = House::new();
    let mut stream = house.listen("/v1/events?after=2", &[]).await;
    assert_eq!(stream.chunk().await, ":\n\n");
}

#[tokio::test]
async fn an_event_that_is_damaged_is_shown_in_no_page_and_no_stream() {
    let house = House::new();
    let mut stream = house.listen("/v1/events?after=2", &[]).await;
    house.log.damaged.store(4, Ordering::Relaxed);
    house.done(json!([enrol("n-1", json!({}))])).await;
    assert_eq!(stream.ids(1).await, [3]);
    house.done(json!([enrol("n-2", json!({}))])).await;
    assert_eq!(stream.next().await, None, "it ends where it can't go on");
    let bearer = format!("Bearer {ADMIN}");
    for (uri, headers) in [
        ("/v1/events?after=3", vec![LIVE]),
        ("/v1/events", vec![LIVE, ("last-event-id", "3")]),
        ("/v1/events", vec![]),
        ("/v1/events?entity=node/n-2", vec![]),
    ] {
        let all = [headers, vec![("authorization", bearer.as_str())]].concat();
        let answered = house.send(request(Method::GET, uri, &all, "")).await;
        answered.is_problem(uri, 500, "damaged", "");
        assert!(answered.json()["detail"].as_str().unwrap().contains("position 4:"), "{uri}: {answered}");
    }
    house.done(json!([enrol("n-3", json!({}))])).await;
    assert_eq!(house.listen("/v1/events?after=4", &[]).await.ids(1).await, [5]);
    assert_eq!(house.shown("/v1/events?after=4").await["items"][0]["position"], 5);
}
