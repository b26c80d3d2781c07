//! What is read is never older than what was written or read before.

use serde_json::{Value, json};

use crate::server::{Server, log_status};

/// An assessment plan that imports nothing: what counts is what is asked.
fn catalog() -> Value {
    json!({"catalog": {"uuid": "c", "controls": [{"id": "a", "title": "t"}]}})
}

#[test]
fn what_follows_an_answer_is_asked_for_no_earlier_position() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("catalog.json");
    std::fs::write(&file, catalog().to_string()).unwrap();
    let server = Server::new(|first, _, reply| {
        let body = match first {
            log if log.contains("/v1/log") => log_status(78).to_string(),
            _ => json!({"items": [], "next": null}).to_string(),
        };
        let length = body.len();
        reply.raw(
            format!("HTTP/1.1 200 OK\r\nheadwater-position: 79\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
                .as_bytes(),
        )
    });
    let (code, _, complaint) = server.run(&["import", "oscal", "--dry-run", file.to_str().unwrap()]);
    assert_eq!(code, 0, "{complaint}");
    let asked = server.asked();
    assert_eq!(asked[0], "GET /v1/log", "nothing is known yet");
    assert!(asked[1].starts_with("GET /v1/controls?") && asked[1].ends_with("&min_position=79"), "{asked:?}");
}

#[tokio::test]
async fn what_was_written_is_seen_by_the_next_read() {
    use client::api_client::{ApiClient, CommandRequest};

    let server = Server::new(|first, _, reply| {
        let answer =
            json!({"log_id": "0198b0a2-0000-7000-8000-000000000000", "position": 79, "events": [], "results": []});
        let body = if first.starts_with("POST") { answer } else { json!({"items": [], "next": null}) };
        reply.whole("200 OK", &body.to_string())
    });
    let client = ApiClient::new(server.url.parse().unwrap(), "hw_secret".parse().unwrap()).unwrap();
    client.list::<Value>("/v1/nodes", &[]).await.unwrap();
    client.send_commands(&CommandRequest::default()).await.unwrap();
    client.with_token("hw_other".parse().unwrap()).get::<Value>("/v1/fleet").await.unwrap();
    client.list::<Value>("/v1/nodes", &[]).await.unwrap();
    drop(client.open_stream("/v1/events?after=3").await);
    let asked: Vec<String> = server.asked().into_iter().map(|line| line.replace("limit=1000&cursor=", "…")).collect();
    let expected = [
        "GET /v1/nodes?…",
        "POST /v1/commands",
        "GET /v1/fleet?min_position=79",
        "GET /v1/nodes?…&min_position=79",
        "GET /v1/events?after=3&min_position=79",
    ];
    assert_eq!(asked, expected);
}

#[test]
fn a_position_can_be_handed_from_one_command_to_the_next() {
    let server = Server::new(|_, _, reply| reply.whole("200 OK", "{}"));
    assert_eq!(server.run(&["get", "fleet", "--min-position", "79"]).0, 0);
    assert_eq!(server.run(&["get", "fleet"]).0, 0);
    assert_eq!(server.asked(), ["GET /v1/fleet?min_position=79", "GET /v1/fleet"]);
}
