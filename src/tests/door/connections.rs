//! Real connections: the door over a socket, and how it closes.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};
use server::http::listener::{ConnectionLimits, HttpListener, serve};
use server::http::router::HttpLimits;
use testkit::certificates::http_client;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::ask::{ADMIN, AUDITOR, House, put, request};

const DEADLINE: Duration = Duration::from_secs(20);

async fn open(house: &House) -> (String, JoinHandle<()>) {
    let (address, door) = open_within(house, ConnectionLimits::default()).await;
    (format!("http://{address}"), door)
}

async fn open_within(house: &House, limits: ConnectionLimits) -> (SocketAddr, JoinHandle<()>) {
    let listener = HttpListener::bind(([127, 0, 0, 1], 0).into(), None).await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, tokio::spawn(serve(listener, house.router.clone(), limits, house.closing.clone())))
}

#[tokio::test]
async fn a_closing_door_finishes_requests_ends_streams_and_is_gone() {
    let house = House::new();
    let (url, door) = open(&house).await;
    let client = http_client(None).build().unwrap();
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
async fn a_closing_door_answers_what_never_finishes_and_is_gone() {
    let house = House::new();
    house.log.is_stuck.store(true, Ordering::Relaxed);
    let (url, door) = open(&house).await;
    let stuck = http_client(None).build().unwrap().post(format!("{url}/v1/commands")).bearer_auth(ADMIN);
    let stuck = stuck.json(&json!({"commands": [{"type": "retire_node", "id": "n"}]}));
    let stuck = tokio::spawn(stuck.send());
    while house.log.waiting.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    house.closing.cancel();
    let answered = timeout(DEADLINE, stuck).await.unwrap().unwrap().unwrap();
    assert_eq!(answered.status().as_u16(), 503, "it is not cut off without a word");
    assert_eq!(answered.json::<Value>().await.unwrap()["code"], "unavailable");
    timeout(DEADLINE, door).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_body_that_is_too_large_gets_its_answer_over_a_socket_too() {
    let house = House::new();
    let (url, _door) = open(&house).await;
    let post = http_client(None).build().unwrap().post(format!("{url}/v1/commands")).bearer_auth(ADMIN);
    let post = post.header("content-type", "application/json").body(vec![b' '; 12 * 1024 * 1024]);
    let answered = timeout(DEADLINE, post.send()).await.unwrap().unwrap();
    assert_eq!(answered.status().as_u16(), 413);
    let problem: Value = answered.json().await.unwrap();
    assert_eq!(problem["code"], "body_too_large");
}

/// A connection that is read when a test wants it, and whose system takes as little as can be.
async fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    timeout(DEADLINE, socket.connect(address)).await.unwrap().unwrap()
}

async fn say(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// Asks with a token, and reads the head of the answer.
async fn ask(stream: &mut TcpStream, token: &str, uri: &str, accept: &str) -> String {
    let head = format!("GET {uri} HTTP/1.1\r\nHost: door\r\nAuthorization: Bearer {token}\r\nAccept: {accept}\r\n\r\n");
    say(stream, &head).await;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(DEADLINE, stream.read_u8()).await.unwrap().unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Waits until the door has closed a connection, in order or not.
async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    drop(timeout(DEADLINE, stream.read_to_end(&mut rest)).await.expect("the door goes on waiting"));
}

/// Waits until a question is not refused any more for what another one holds.
async fn until_free(house: &House, uri: &str, headers: &[(&str, &str)], code: &str) {
    let free = async {
        loop {
            let asked = tower::ServiceExt::oneshot(house.router.clone(), request(Method::GET, uri, headers, ""));
            let answered = asked.await.unwrap();
            if answered.status().is_success() {
                return;
            }
            let body = axum::body::to_bytes(answered.into_body(), usize::MAX).await.unwrap();
            assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["code"], code);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(DEADLINE, free).await.expect("it is held for ever");
}

#[tokio::test]
async fn who_asks_by_halves_keeps_nobody_out() {
    let house = House::new();
    let (address, _door) = open_within(&house, ConnectionLimits { anonymous: 4, ..ConnectionLimits::default() }).await;
    let mut known = connect(address).await;
    assert!(ask(&mut known, AUDITOR, "/v1/log", "*/*").await.starts_with("HTTP/1.1 200"));
    let mut halves = Vec::new();
    for _ in 0..20 {
        let mut half = connect(address).await;
        say(&mut half, "GET /healthz HTTP/1.1\r\nHost: d").await;
        halves.push(half);
        let healthy = http_client(None).build().unwrap().get(format!("http://{address}/healthz")).send();
        assert_eq!(timeout(DEADLINE, healthy).await.unwrap().unwrap().status(), 200);
    }
    closed(&mut halves[0]).await;
    let mut body = vec![0; 16 * 1024];
    let _rest_of_the_first = known.read(&mut body).await.unwrap();
    assert!(ask(&mut known, AUDITOR, "/v1/log", "*/*").await.starts_with("HTTP/1.1 200"), "a token keeps its place");
}

#[tokio::test]
async fn a_connection_asks_soon_or_is_closed() {
    let house = House::new();
    let limits = ConnectionLimits { first_header: Duration::from_millis(50), ..ConnectionLimits::default() };
    let (address, _door) = open_within(&house, limits).await;
    let (mut asked, mut silent, mut half) = (connect(address).await, connect(address).await, connect(address).await);
    ask(&mut asked, AUDITOR, "/v1/log", "*/*").await;
    say(&mut half, "GET /v1/log HTT").await;
    closed(&mut silent).await;
    closed(&mut half).await;
    let mut body = vec![0; 16 * 1024];
    let _rest_of_the_first = asked.read(&mut body).await.unwrap();
    let again = ask(&mut asked, AUDITOR, "/v1/log", "*/*").await;
    assert!(again.starts_with("HTTP/1.1 200"), "who has asked may be silent for longer");
}

#[tokio::test]
async fn an_answer_of_which_nothing_is_taken_is_cut() {
    let limits = HttpLimits { answers_each_kib: 11 * 1024, answer_wait: Duration::ZERO, ..HttpLimits::default() };
    let house = House::with(limits);
    let four_mebibytes = "x".repeat(4 * 1024 * 1024);
    house.done(json!([put("d", "d", &four_mebibytes, json!({"all": true}))])).await;
    let limits = ConnectionLimits { stalled: Duration::from_millis(500), ..ConnectionLimits::default() };
    let (address, _door) = open_within(&house, limits).await;
    let mut unread = connect(address).await;
    ask(&mut unread, AUDITOR, "/v1/documents/d/content", "*/*").await;
    let bearer = format!("Bearer {AUDITOR}");
    let headers = [("authorization", bearer.as_str())];
    house.get("/v1/documents/d/content").await.is_problem("it is held", 503, "overloaded", "");
    until_free(&house, "/v1/documents/d/content", &headers, "overloaded").await;
}

#[tokio::test]
async fn a_revoked_stream_ends_even_if_nobody_reads_it() {
    let house = House::with(HttpLimits { streams: 1, ..HttpLimits::default() });
    let hash = schema::digest::Digest::of(b"eve-token");
    house.done(json!([{"type": "create_principal", "name": "eve", "role": "auditor", "token_hash": hash}])).await;
    let control = |number: usize| json!({"type": "define_control", "id": format!("c-{number}"), "title": "t", "statement": "x".repeat(250_000)});
    for first in [0, 20] {
        house.done(Value::from_iter((first..first + 20).map(control))).await;
    }
    let (address, _door) = open_within(&house, ConnectionLimits::default()).await;
    let mut unread = connect(address).await;
    let head = ask(&mut unread, "eve-token", "/v1/events", "text/event-stream").await;
    assert!(head.contains("text/event-stream"), "{head}");
    house.done(json!([{"type": "revoke_principal", "name": "eve"}])).await;
    let bearer = format!("Bearer {ADMIN}");
    let headers = [("authorization", bearer.as_str()), ("accept", "text/event-stream")];
    until_free(&house, "/v1/events", &headers, "too_many_streams").await;
}

#[tokio::test]
async fn a_body_that_announces_more_than_anybody_reads_is_refused_before_it_comes() {
    let house = House::new();
    let (address, _door) = open_within(&house, ConnectionLimits::default()).await;
    let mut stream = connect(address).await;
    let head = format!(
        "POST /v1/commands HTTP/1.1\r\nHost: door\r\nAuthorization: Bearer {ADMIN}\r\n\
         Content-Type: application/json\r\nContent-Length: 100000000000000000\r\n\r\n"
    );
    say(&mut stream, &head).await;
    let mut answer = [0; 12];
    // Well before the time that a body has to come in.
    let soon = HttpLimits::default().body_time / 4;
    timeout(soon, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}
