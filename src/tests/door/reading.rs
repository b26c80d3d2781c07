//! What readers see: lists in pages, documents and their past, bytes as they are.

use axum::http::{Method, StatusCode};
use schema::digest::Digest;
use serde_json::{Value, json};

use crate::ask::{AUDITOR, House, enrol, put, request};

/// Walks a list to its end and gives what `show` takes of each item.
async fn walk(house: &House, list: &str, show: &str) -> Vec<Vec<Value>> {
    let mut cursor = String::new();
    let mut pages = Vec::new();
    loop {
        let page = house.shown(&format!("{list}&cursor={cursor}")).await;
        pages.push(page["items"].as_array().unwrap().iter().map(|item| item[show].clone()).collect());
        match page["next"].as_str() {
            Some(next) => cursor = next.to_string(),
            None => return pages,
        }
    }
}

#[tokio::test]
async fn lists_come_in_pages_and_each_item_once() {
    let house = House::new();
    let nodes: Vec<Value> = (0..5).map(|number| enrol(&format!("n-{number}"), json!({}))).collect();
    house.done(json!(nodes)).await;
    assert_eq!(walk(&house, "/v1/nodes?limit=2", "id").await, [vec!["n-0", "n-1"], vec!["n-2", "n-3"], vec!["n-4"]]);
    assert_eq!(walk(&house, "/v1/documents?limit=2", "id").await, [Vec::<Value>::new()]);
    assert_eq!(walk(&house, "/v1/principals?limit=1", "name").await, [["ann"], ["otto"]]);
    assert_eq!(walk(&house, "/v1/events?limit=3", "position").await, [vec![1, 2, 3], vec![4, 5, 6], vec![7]]);
    assert_eq!(walk(&house, "/v1/events?limit=7", "position").await, [vec![1, 2, 3, 4, 5, 6, 7]]);
    assert_eq!(walk(&house, "/v1/events?after=5", "position").await, [vec![6, 7]]);
    assert_eq!(walk(&house, "/v1/events?entity=node/n-3", "position").await, [vec![6]]);
    assert_eq!(walk(&house, "/v1/events?type=PrincipalCreated&limit=1", "position").await, [[1], [2]]);
    assert_eq!(walk(&house, "/v1/events?at=1", "position").await, [vec![1]]);
}

#[tokio::test]
async fn an_event_is_shown_whole_and_its_data_as_it_was_written() {
    let house = House::new();
    house
        .post(
            "/v1/commands",
            &[],
            &json!({"reason": "because", "commands": [enrol("n-1", json!({"b": "2", "a": "1"}))]}).to_string(),
        )
        .await;
    let answered = house.get("/v1/events?after=2").await;
    assert!(String::from_utf8_lossy(&answered.body).contains(r#""data":{"labels":{"a":"1","b":"2"}}"#), "{answered}");
    let event = &answered.json()["items"][0];
    let fields: Vec<&String> = event.as_object().unwrap().keys().collect();
    let all = [
        "actor",
        "at",
        "command_id",
        "count",
        "data",
        "entity",
        "event_id",
        "leaf",
        "log_id",
        "ordinal",
        "position",
        "reason",
        "type",
        "v",
        "version",
    ];
    assert_eq!(fields, all);
    assert_eq!(
        (&event["actor"], &event["reason"], &event["entity"]),
        (&json!("ann"), &json!("because"), &json!("node/n-1"))
    );
}

#[tokio::test]
async fn a_document_is_shown_as_of_now_and_of_then() {
    let house = House::new();
    house.done(json!([put("d", "d.json", "one", json!({"all": true}))])).await;
    let between = house.shown("/v1/log").await["at"].as_str().unwrap().to_string();
    house.done(json!([put("d", "e.json", "two", json!({"nodes": ["n-1"]}))])).await;
    house.done(json!([{"type": "remove_document", "id": "d"}])).await;
    house.get("/v1/documents/d").await.is_problem("now", 404, "unknown_entity", "id");
    for (at, path, content, version) in
        [("3", "d.json", "one", 1), (between.as_str(), "d.json", "one", 1), ("4", "e.json", "two", 2)]
    {
        let shown = house.get(&format!("/v1/documents/d?at={at}")).await;
        let json = shown.json();
        let seen = (&json["path"], &json["version"], &json["digest"], &json["size"]);
        assert_eq!(seen, (&json!(path), &json!(version), &json!(Digest::of(content.as_bytes())), &json!(3)), "{at}");
        assert_eq!(shown.header("headwater-position"), (version + 2).to_string());
        let content_shown = house.get(&format!("/v1/documents/d/content?at={at}")).await;
        assert_eq!(content_shown.body, content.as_bytes());
        assert_eq!(content_shown.header("content-type"), "text/plain");
    }
    assert_eq!(house.shown("/v1/documents?at=4").await["items"][0]["target"], json!({"nodes": ["n-1"]}));
    let versions = walk(&house, "/v1/documents/d/versions?limit=2", "type").await;
    assert_eq!(versions, [vec!["DocumentPut", "DocumentPut"], vec!["DocumentRemoved"]]);
    let first = &house.shown("/v1/documents/d/versions").await["items"][0];
    assert_eq!((&first["path"], &first["actor"], &first["version"]), (&json!("d.json"), &json!("ann"), &json!(1)));
}

#[tokio::test]
async fn a_position_inside_a_request_means_its_end() {
    let house = House::new();
    house.done(json!([enrol("n-1", json!({})), enrol("n-2", json!({})), enrol("n-3", json!({}))])).await;
    let shown = house.get("/v1/nodes?at=4").await;
    assert_eq!((shown.json()["items"].as_array().unwrap().len(), shown.header("headwater-position")), (3, "5"));
    assert_eq!(house.shown("/v1/nodes?at=2").await["items"], json!([]));
    assert_eq!(house.shown("/v1/fleet?at=0").await["position"], 0);
}

#[tokio::test]
async fn a_file_is_served_byte_for_byte_with_its_type_and_its_name() {
    let house = House::new();
    let bytes: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &bytes);
    house
        .done(json!([
            enrol("n-1", json!({})),
            {"type": "put_document", "id": "low", "path": "ü/a b%.bin", "media_type": "text/plain", "content": "low",
                "target": {"all": true}, "priority": 1},
            {"type": "put_document", "id": "high", "path": "ü/a b%.bin", "media_type": "application/x-thing; v=1",
                "content_base64": encoded, "target": {"all": true}, "priority": 2},
        ]))
        .await;
    let uri = "/v1/nodes/n-1/files/%C3%BC/a%20b%25.bin";
    let file = house.get(uri).await;
    assert_eq!((file.status, &file.body), (StatusCode::OK, &bytes));
    assert_eq!(file.header("content-type"), "application/x-thing; v=1");
    let tag = format!("\"{}\"", Digest::of(&bytes));
    assert_eq!((file.header("etag"), file.header("headwater-position")), (tag.as_str(), "5"));
    let bearer = format!("Bearer {AUDITOR}");
    let known = [("authorization", bearer.as_str()), ("if-none-match", tag.as_str())];
    let again = house.send(request(Method::GET, uri, &known, "")).await;
    assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
    let entries = &house.shown("/v1/nodes/n-1").await["desired"]["entries"];
    assert_eq!((&entries[0]["source"]["entity"], &entries[0]["path"]), (&json!("document/high"), &json!("ü/a b%.bin")));
    assert_eq!(entries.as_array().map(Vec::len), Some(1));
    house.log.erase(Digest::of(&bytes));
    house.get(uri).await.is_problem("erased", 410, "content_gone", "");
}

#[tokio::test]
async fn every_list_says_the_position_that_it_holds_for() {
    let house = House::new();
    for uri in ["/v1/documents", "/v1/nodes", "/v1/principals", "/v1/fleet", "/v1/events", "/v1/log"] {
        assert_eq!(house.get(uri).await.header("headwater-position"), "2", "{uri}");
    }
}
