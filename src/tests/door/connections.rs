//! Real connections: the door over a socket, and how it closes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use headwater::door::serve::serve;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::ask::{ADMIN, House};

const DEADLINE: Duration = Duration::from_secs(20);

async fn open(house: &House) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (url, tokio::spawn(serve(listener, house.router.clone(), house.closing.clone())))
}

#[tokio::test]
async fn a_closing_door_finishes_requests_ends_streams_and_is_gone() {
    let house = House::new();
    let (url, door) = open(&house).await;
    let client = reqwest::Client::new();
    let log: Value = client.get(format!("{url}/v1/log")).bearer_auth(ADMIN).send().await.unwrap().json().await.unwrap();
    assert_eq!(log["position"], 2);
    let stream = client.get(format!("{url}/v1/events?after=2")).bearer_auth(ADMIN);
    let mut stream = stream.header("accept", "text/event-stream").send().await.unwrap();
    house.closing.cancel();
    assert_eq!(timeout(DEADLINE, stream.chunk()).await.unwrap().unwrap(), None, "the stream ends in good order");
    timeout(DEADLINE, door).await.unwrap().unwrap();
    assert!(client.get(format!("{url}/healthz")).send().await.is_err());
}

#[tokio::test]
async fn a_door_does_not_wait_for_ever_for_who_never_finishes() {
    let house = House::new();
    house.log.is_stuck.store(true, Ordering::Relaxed);
    let (url, door) = open(&house).await;
    let stuck = reqwest::Client::new().post(format!("{url}/v1/commands")).bearer_auth(ADMIN);
    let stuck = stuck.json(&json!({"commands": [{"type": "retire_node", "id": "n"}]}));
    let stuck = tokio::spawn(stuck.send());
    while house.log.waiting.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    house.closing.cancel();
    timeout(DEADLINE, door).await.unwrap().unwrap();
    stuck.abort();
}

#[tokio::test]
async fn a_body_that_is_too_large_gets_its_answer_over_a_socket_too() {
    let house = House::new();
    let (url, _door) = open(&house).await;
    let post = reqwest::Client::new().post(format!("{url}/v1/commands")).bearer_auth(ADMIN);
    let post = post.header("content-type", "application/json").body(vec![b' '; 12 * 1024 * 1024]);
    let answered = timeout(DEADLINE, post.send()).await.unwrap().unwrap();
    assert_eq!(answered.status().as_u16(), 413);
    let problem: Value = answered.json().await.unwrap();
    assert_eq!(problem["code"], "body_too_large");
}
