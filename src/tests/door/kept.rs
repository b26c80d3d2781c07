//! Answers that a caller keeps, and answers that are compressed on their way.

use std::io::Read as _;

use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::ask::{AUDITOR, Answered, House, enrol, put, request};

async fn get(house: &House, uri: &str, headers: &[(&str, &str)]) -> Answered {
    let bearer = format!("Bearer {AUDITOR}");
    let all = [&[("authorization", bearer.as_str())], headers].concat();
    house.send(request(Method::GET, uri, &all, "")).await
}

#[tokio::test]
async fn an_answer_to_a_position_is_kept_and_one_to_the_present_is_not() {
    let house = House::new();
    house.done(json!([enrol("n", json!({})), put("d", "etc/d", "text", json!({"all": true}))])).await;
    let position = house.position();
    for path in ["/v1/nodes", "/v1/nodes/n", "/v1/documents", "/v1/documents/d/content", "/v1/fleet", "/v1/events"] {
        let fixed = format!("{path}?at={position}");
        let first = get(&house, &fixed, &[]).await;
        assert_eq!(first.header("cache-control"), "private, no-cache", "{fixed}");
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with('"') && tag.len() == 66, "{tag}");
        let again = get(&house, &fixed, &[("if-none-match", &tag)]).await;
        assert_eq!((again.status, again.header("etag")), (StatusCode::NOT_MODIFIED, tag.as_str()), "{fixed}");
        assert_eq!(again.header("headwater-position"), position.to_string());
        assert_eq!(again.header("cache-control"), first.header("cache-control"), "{fixed}");
        let stale = get(&house, &fixed, &[("if-none-match", "\"0000\"")]).await;
        assert_eq!((stale.status, stale.body), (StatusCode::OK, first.body), "{fixed}");
        let is_content = path.ends_with("content");
        assert_eq!(get(&house, path, &[]).await.header("etag").is_empty(), !is_content, "{path}");
    }
    // A time may still get events, and how far a log is published is no part of a past state.
    for path in ["/v1/nodes?at=2026-01-01T00:00:00Z", &format!("/v1/log?at={position}")] {
        assert_eq!(get(&house, path, &[]).await.header("etag"), "", "{path}");
    }
    // A refusal is not kept.
    let none = get(&house, &format!("/v1/nodes/other?at={position}"), &[]).await;
    assert_eq!((none.status, none.header("etag")), (StatusCode::NOT_FOUND, ""));
}

#[tokio::test]
async fn a_large_answer_is_compressed_for_who_accepts_it_and_a_small_one_is_not() {
    let house = House::new();
    let text = "the same words again and again\n".repeat(500);
    house.done(json!([put("d", "etc/d", &text, json!({"all": true}))])).await;
    let uri = "/v1/documents/d/content";
    let (plain, packed) = (get(&house, uri, &[]).await, get(&house, uri, &[("accept-encoding", "gzip")]).await);
    assert_eq!((plain.header("content-encoding"), packed.header("content-encoding")), ("", "gzip"));
    assert!(packed.body.len() * 10 < plain.body.len() && packed.header("vary").contains("accept-encoding"));
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(packed.body.as_slice()).read_to_end(&mut unpacked).unwrap();
    assert!(unpacked == text.as_bytes() && plain.body == text.as_bytes());
    // The tag is weak, because the bytes are others; a caller that sends it gets no content again.
    let weak = packed.header("etag");
    assert_eq!(weak, format!("W/{}", plain.header("etag")));
    let again = get(&house, uri, &[("accept-encoding", "gzip"), ("if-none-match", weak)]).await;
    assert_eq!((again.status, again.header("etag")), (StatusCode::NOT_MODIFIED, weak));
    let small = get(&house, "/v1/documents/d", &[("accept-encoding", "gzip")]).await;
    assert_eq!(small.header("content-encoding"), "");
}

#[tokio::test]
async fn a_head_is_a_get_without_its_body() {
    let house = House::new();
    let bearer = format!("Bearer {AUDITOR}");
    for uri in ["/v1/fleet", "/v1/nodes", "/v1/log", "/v1/events", "/v1/whoami"] {
        let head = house.send(request(Method::HEAD, uri, &[("authorization", &bearer)], "")).await;
        let get = get(&house, uri, &[]).await;
        assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0), "{uri}");
        for header in ["content-length", "content-type", "headwater-position"] {
            assert_eq!(head.header(header), get.header(header), "{uri}: {header}");
        }
    }
}

#[tokio::test]
async fn whoami_names_the_token() {
    let house = House::new();
    let answer = house.shown("/v1/whoami").await;
    assert_eq!((&answer["name"], &answer["role"]), (&json!("otto"), &json!("auditor")));
    assert_eq!(answer["log_id"], house.shown("/v1/log").await["log_id"]);
}

#[tokio::test]
async fn every_answer_behind_a_token_names_a_position() {
    let house = House::new();
    for uri in ["/v1/fleet", "/v1/nodes/none", "/v1/nowhere", "/v1/nodes?limit=0", "/metrics", "/v1/log/checkpoint"] {
        assert_eq!(house.get(uri).await.header("headwater-position"), house.position().to_string(), "{uri}");
    }
    assert_eq!(house.send(request(Method::GET, "/v1/fleet", &[], "")).await.header("headwater-position"), "");
    // What is not there at a position may be there at the one that the server has reached.
    assert_eq!(house.get("/v1/nodes/none?at=1").await.header("headwater-position"), "");
}

#[tokio::test]
async fn a_command_is_answered_whatever_coding_its_sender_takes() {
    let house = House::new();
    for coding in ["identity;q=0", "br, *;q=0", "gzip;q=0, identity;q=0"] {
        let body = json!({"commands": [enrol("n", json!({}))]}).to_string();
        let answered = house.post("/v1/commands", &[("accept-encoding", coding)], &body).await;
        assert_eq!((answered.status, answered.header("content-encoding")), (StatusCode::OK, ""), "{coding}");
        assert!(answered.json()["results"].is_array(), "{coding}");
    }
}

#[tokio::test]
async fn the_document_is_compressed_and_tagged() {
    let house = House::new();
    let ask = async |headers: &[(&str, &str)]| house.send(request(Method::GET, "/v1/openapi.json", headers, "")).await;
    let (plain, packed) = (ask(&[]).await, ask(&[("accept-encoding", "gzip")]).await);
    assert_eq!((plain.header("content-encoding"), packed.header("content-encoding")), ("", "gzip"));
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(packed.body.as_slice()).read_to_end(&mut unpacked).unwrap();
    assert!(unpacked == plain.body && packed.body.len() * 8 < plain.body.len());
    for tag in [plain.header("etag"), packed.header("etag")] {
        assert_eq!(ask(&[("if-none-match", tag)]).await.status, StatusCode::NOT_MODIFIED, "{tag}");
    }
}

#[tokio::test]
async fn answers_are_counted_by_route_and_status() {
    let house = House::new();
    for uri in ["/v1/nodes/none", "/v1/nodes/other", "/v1/fleet", "/v1/nowhere/at/all"] {
        house.get(uri).await;
    }
    let text = String::from_utf8(house.get("/metrics").await.body).unwrap();
    let count = |route: &str, status: u16| {
        let series = format!("headwater_requests_total{{route=\"{route}\",status=\"{status}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&series)).and_then(|count| count.parse::<u64>().ok())
    };
    // The process has other servers only under another runner than nextest.
    assert!(count("/v1/nodes/{id}", 404) >= Some(2), "{text}");
    assert!(count("/v1/fleet", 200) >= Some(1) && count("unknown", 404) >= Some(1), "{text}");
    assert!(!text.contains("/v1/nodes/none"), "a caller must not be able to make series");
}
