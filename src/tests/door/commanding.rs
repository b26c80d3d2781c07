//! Commands that are well formed: answers, keys, previews, and what the door says when the log can't.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use bytes::Bytes;
use serde_json::{Value, json};
use server::http::router::HttpLimits;

use crate::ask::{ADMIN, House, enrol, put, request};

#[tokio::test]
async fn an_accepted_request_says_what_was_appended_and_where() {
    let house = House::new();
    let answer = house
        .done(json!([enrol("n-1", json!({})), enrol("n-1", json!({})), put("d", "d", "", json!({"all": true}))]))
        .await;
    assert_eq!(answer["position"], 4);
    assert_eq!(answer["events"][0], json!({"position": 3, "type": "NodeEnrolled", "entity": "node/n-1", "version": 1}));
    assert_eq!(answer["events"].as_array().map(Vec::len), Some(2));
    let changed: Vec<_> = answer["results"].as_array().unwrap().iter().map(|result| &result["changed"]).collect();
    assert_eq!(changed, [true, false, true]);
    let nothing = house.ask(json!([enrol("n-1", json!({}))])).await;
    assert_eq!((nothing.json()["events"].clone(), nothing.header("headwater-position")), (json!([]), "4"));
}

#[tokio::test]
async fn a_key_gives_the_first_answer_again_and_only_for_the_same_body() {
    let house = House::new();
    let body = |id: &str| json!({"commands": [enrol(id, json!({}))]}).to_string();
    let ask = async |key: &str, body: &str| house.post("/v1/commands", &[("idempotency-key", key)], body).await;
    let first = ask("k-1", &body("n-1")).await.json();
    let again = ask("k-1", &body("n-1")).await.json();
    assert_eq!((&first, house.position()), (&again, 3));
    ask("k-1", &body("n-2")).await.is_problem("another body", 409, "idempotency_key_reused", "Idempotency-Key");
    assert_eq!(house.position(), 3);
    let refused = json!({"commands": [{"type": "retire_node", "id": "n-2"}]}).to_string();
    ask("k-2", &refused).await.is_problem("not yet", 404, "unknown_entity", "commands[0].id");
    ask("k-3", &body("n-2")).await;
    assert_eq!(ask("k-2", &refused).await.status, 200, "refusals are not remembered");
}

#[tokio::test]
async fn a_dry_run_answers_as_the_real_one_would_and_writes_nothing() {
    let house = House::new();
    house.done(json!([enrol("n-1", json!({"a": "1"})), enrol("n-2", json!({}))])).await;
    let before = house.position();
    let commands = json!([enrol("n-3", json!({})), put("d", "d", "x", json!({"match_labels": {"a": "1"}}))]);
    let body = json!({"commands": commands}).to_string();
    let preview = house.post("/v1/commands?dry_run=true", &[], &body).await.json();
    assert_eq!(house.position(), before);
    assert_eq!(preview["dry_run"], true);
    let desired = preview["desired"].as_array().unwrap();
    let nodes: Vec<_> = desired.iter().map(|turn| turn["node"].clone()).collect();
    assert_eq!(nodes, ["n-1", "n-3"], "n-2 is not touched");
    assert_eq!(desired[1]["before"], Value::Null);
    let real = house.done(commands).await;
    for part in ["log_id", "position", "events", "results"] {
        assert_eq!(preview[part], real[part], "{part}");
    }
    let digest = house.shown("/v1/nodes/n-1").await["desired"]["digest"].clone();
    assert_eq!(desired[0]["after"], digest);
    let refused = house
        .post("/v1/commands?dry_run=true", &[], &json!({"commands": [{"type": "retry_node", "id": "x"}]}).to_string())
        .await;
    refused.is_problem("dry", 404, "unknown_entity", "commands[0].id");
}

#[tokio::test]
async fn a_request_is_found_by_the_id_in_its_answer_and_by_the_position_of_any_event_of_it() {
    let house = House::new();
    house.done(json!([enrol("n-1", json!({})), enrol("n-2", json!({}))])).await;
    let answer = house.done(json!([put("d", "d", "x", json!({"all": true}))])).await;
    let id = answer["command_id"].as_str().unwrap();
    let impact = house.shown(&format!("/v1/impact/{id}")).await;
    assert_eq!((&impact["command_id"], &impact["position"]), (&answer["command_id"], &json!(5)));
    assert_eq!(house.shown("/v1/impact/5").await, impact);
    let [first, last] = [house.shown("/v1/impact/3").await, house.shown("/v1/impact/4").await];
    assert_eq!((&first, &first["position"]), (&last, &json!(4)), "a request is told whole");
    for none in ["0", "6", "5?at=4", "00000000-0000-0000-0000-000000000009"] {
        house.get(&format!("/v1/impact/{none}")).await.is_problem(none, 404, "unknown_command", "command_id");
    }
    house.get("/v1/impact/x").await.is_problem("x", 400, "invalid_parameter", "command_id");
    let nothing = house.done(json!([enrol("n-1", json!({}))])).await;
    assert!(nothing["command_id"].is_string(), "it has an identity, though nothing came of it");
}

#[tokio::test]
async fn what_a_sender_may_not_have_meant_is_said_in_a_dry_run_at_once_and_again_under_the_key() {
    let house = House::new();
    house.done(json!([enrol("n-1", json!({"site": "lund", "rack": "1"}))])).await;
    let commands = json!([
        put("a", "a", "x", json!({"match_labels": {"site": "oslo"}})),
        put("b", "b", "x", json!({"nodes": ["n-2"]})),
        enrol("n-2", json!({})),
        {"type": "label_node", "id": "n-1", "labels": {"site": "lund"}},
        {"type": "put_document", "id": "c", "path": "c", "media_type": "application/ld+json", "content": "{",
            "target": {"all": true}, "priority": 0},
    ]);
    let body = json!({"commands": commands}).to_string();
    let preview = house.post("/v1/commands?dry_run=true", &[], &body).await.json();
    assert_eq!(preview.get("command_id"), None, "nothing is left that could be asked for");
    let keyed = async || house.post("/v1/commands", &[("idempotency-key", "k")], &body).await.json();
    let first = keyed().await;
    let codes: Vec<_> = first["warnings"].as_array().unwrap().iter().map(|of| (&of["command"], &of["code"])).collect();
    let expected = [
        (json!(0), json!("target_reaches_nobody")),
        (json!(3), json!("labels_dropped")),
        (json!(4), json!("content_mismatch")),
    ];
    assert_eq!(codes, expected.iter().map(|(command, code)| (command, code)).collect::<Vec<_>>(), "{first}");
    assert_eq!(preview["warnings"], first["warnings"]);
    assert_eq!(keyed().await, first);
    assert_eq!(house.done(json!([enrol("n-2", json!({}))])).await["warnings"], json!([]));
}

#[tokio::test]
async fn new_content_that_is_no_json_though_it_says_so_is_refused() {
    let house = House::new();
    let mut command = put("d", "d", "{\"a\": 1,}", json!({"all": true}));
    command["media_type"] = json!("Application/JSON; charset=utf-8");
    for uri in ["/v1/commands", "/v1/commands?dry_run=true"] {
        let refused = house.post(uri, &[], &json!({"commands": [enrol("n", json!({})), command]}).to_string()).await;
        refused.is_problem(uri, 422, "not_json", "commands[1].content");
        assert!(refused.json()["detail"].as_str().unwrap().contains("line 1 column 9"), "{refused}");
    }
    assert_eq!(house.position(), 2);
    command["content"] = json!("{\"a\": 1}");
    house.done(json!([command])).await;
}

#[tokio::test]
async fn a_log_that_can_t_says_so_and_that_it_is_worth_another_try() {
    let house = House::new();
    house.log.is_busy.store(true, Ordering::Relaxed);
    let busy = house.ask(json!([enrol("n-1", json!({}))])).await;
    busy.is_problem("busy", 503, "overloaded", "");
    assert_eq!(busy.header("retry-after"), "1");
    house.log.is_broken.store(true, Ordering::Relaxed);
    for answered in [house.ask(json!([enrol("n-1", json!({}))])).await, house.get("/v1/events").await] {
        answered.is_problem("broken", 503, "unavailable", "");
        assert_eq!(answered.header("retry-after"), "1");
    }
    assert_eq!(house.get("/v1/nodes").await.status, 200, "what is in memory is still shown");
}

#[tokio::test(start_paused = true)]
async fn a_request_has_its_time_and_no_more() {
    let house = House::new();
    house.log.is_stuck.store(true, Ordering::Relaxed);
    let answered = house.ask(json!([enrol("n-1", json!({}))])).await;
    answered.is_problem("stuck", 503, "timed_out", "");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let house = House::new();
    let bearer = format!("Bearer {ADMIN}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let endless = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    let answered = house.send(request(Method::POST, "/v1/commands", &headers, endless)).await;
    answered.is_problem("endless", 408, "body_timeout", "");
    let broken = Body::from_stream(futures::stream::iter([Err::<Bytes, _>(std::io::Error::other("gone"))]));
    let answered = house.send(request(Method::POST, "/v1/commands", &headers, broken)).await;
    answered.is_problem("broken", 400, "incomplete_body", "");
}

#[tokio::test]
async fn one_request_too_many_is_refused_and_not_queued() {
    let house = House::with(HttpLimits { requests: 1, ..HttpLimits::default() });
    house.log.is_stuck.store(true, Ordering::Relaxed);
    let stuck = house.ask(json!([enrol("n-1", json!({}))]));
    let mut stuck = std::pin::pin!(stuck);
    assert!(futures::poll!(stuck.as_mut()).is_pending());
    let refused = house.get("/v1/log").await;
    refused.is_problem("second", 503, "overloaded", "");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(house.send(request(Method::GET, "/healthz", &[], "")).await.status, 200);
    let house = House::with(HttpLimits { bodies_kib: 1, ..HttpLimits::default() });
    let large = json!({"reason": "x".repeat(2_000), "commands": []}).to_string();
    house.post("/v1/commands", &[], &large).await.is_problem("bodies", 503, "overloaded", "");
}

#[tokio::test(start_paused = true)]
async fn a_reader_waits_five_seconds_for_a_position_and_sees_it_or_is_told() {
    let house = House::new();
    let late = house.get("/v1/fleet?min_position=3").await;
    late.is_problem("late", 503, "position_not_reached", "min_position");
    assert_eq!(late.header("retry-after"), "1");
    let reader = house.get("/v1/fleet?min_position=3");
    let writer = async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        house.done(json!([enrol("n-1", json!({}))])).await
    };
    let (shown, _) = tokio::join!(reader, writer);
    assert_eq!((shown.status.as_u16(), shown.json()["position"].clone()), (200, json!(3)));
}
