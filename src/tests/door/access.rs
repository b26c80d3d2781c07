//! Who gets in, and how far.

use std::sync::atomic::Ordering;

use api::health::HealthCondition;
use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::ask::{ADMIN, AUDITOR, House, enrol, request};

#[tokio::test]
async fn nothing_is_open_but_whether_the_door_is_well() {
    let house = House::new();
    for uri in ["/v1/documents", "/v1/log", "/v1/events", "/v1/commands", "/v1/anything", "/anything", "/metrics"] {
        let missing = house.send(request(Method::GET, uri, &[], "")).await;
        missing.is_problem(uri, 401, "missing_token", "Authorization");
        assert_eq!(missing.header("www-authenticate"), "Bearer");
        let wrong = house.send(request(Method::GET, uri, &[("authorization", "Bearer guess")], "")).await;
        wrong.is_problem(uri, 401, "invalid_token", "Authorization");
        assert!(wrong.header("www-authenticate").starts_with("Bearer error="));
    }
    for uri in ["/healthz", "/readyz"] {
        assert_eq!(house.send(request(Method::GET, uri, &[], "")).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn an_auditor_reads_everything_and_changes_nothing() {
    let house = House::new();
    let before = house.position();
    let bearer = format!("Bearer {AUDITOR}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = json!({"commands": [enrol("n-1", json!({}))]}).to_string();
    let post = |uri: &str| house.send(request(Method::POST, uri, &headers, body.clone()));
    for query in ["", "?dry_run=false", "?dry_run", "?dry_run=true&dry_run=false", "?x=dry_run=true"] {
        post(&format!("/v1/commands{query}")).await.is_problem(query, 403, "not_permitted", "");
    }
    for elsewhere in ["/v1/nodes?dry_run=true", "/v1/commands/?dry_run=true"] {
        post(elsewhere).await.is_problem(elsewhere, 403, "not_permitted", "");
    }
    let preview = post("/v1/commands?dry_run=true").await;
    assert_eq!((preview.status, &preview.json()["events"][0]["type"]), (StatusCode::OK, &json!("NodeEnrolled")));
    assert_eq!(house.position(), before);
    for uri in ["/v1/documents", "/v1/nodes", "/v1/principals", "/v1/fleet", "/v1/events", "/v1/log"] {
        assert_eq!(house.get(uri).await.status, StatusCode::OK, "{uri}");
    }
}

#[tokio::test]
async fn a_revoked_token_opens_nothing() {
    let house = House::new();
    house.done(json!([{"type": "revoke_principal", "name": "otto"}])).await;
    house.get("/v1/log").await.is_problem("otto", 401, "invalid_token", "Authorization");
}

#[tokio::test]
async fn no_answer_shows_the_hash_of_a_token_to_who_lists_principals() {
    let house = House::new();
    let listed = house.shown("/v1/principals").await;
    let names: Vec<_> = listed["items"].as_array().unwrap().iter().map(|item| item["name"].clone()).collect();
    assert_eq!(names, ["ann", "otto"]);
    let shown = house.shown("/v1/principals/ann").await;
    assert_eq!((&shown["role"], &shown["revoked"], &shown["version"]), (&json!("admin"), &json!(false), &json!(1)));
    for token in [ADMIN, AUDITOR] {
        let hash = schema::digest::Digest::of(token.as_bytes()).to_string();
        assert!(!listed.to_string().contains(&hash) && !shown.to_string().contains(&hash));
    }
}

#[tokio::test]
async fn readiness_names_the_parts_that_are_missing() {
    let house = House::new();
    let ask = || house.send(request(Method::GET, "/readyz", &[], ""));
    assert_eq!(ask().await.json(), json!({"ready": true, "reasons": []}));
    // A warning keeps nobody away.
    house
        .warnings
        .lock()
        .unwrap()
        .push(HealthCondition { part: "clock".into(), reason: "the log's time is ahead".into() });
    let warnings = json!([{"part": "clock", "reason": "the log's time is ahead"}]);
    assert_eq!(ask().await.json(), json!({"ready": true, "reasons": [], "warnings": warnings}));
    house.reasons.lock().unwrap().push(HealthCondition { part: "relay".into(), reason: "waits for the slot".into() });
    let answered = ask().await;
    answered.is_problem("readyz", 503, "not_ready", "");
    assert_eq!(answered.json()["reasons"], json!([{"part": "relay", "reason": "waits for the slot"}]));
    assert_eq!(answered.json()["warnings"], warnings);
    assert_eq!(answered.json()["ready"], false);
}

#[tokio::test]
async fn the_log_says_who_it_is_and_how_far_it_is_published() {
    let house = House::new();
    house.published.store(1, Ordering::Relaxed);
    let shown = house.shown("/v1/log").await;
    assert_eq!((&shown["position"], &shown["published"]), (&json!(2), &json!(1)));
    assert_eq!(shown["log_id"], "00000000-0000-0000-0000-000000000007");
    assert_eq!(shown["signing_key"].as_str().map(str::len), Some(64));
    assert_eq!(shown["key_id"].as_str().map(str::len), Some(64));
}

#[tokio::test]
async fn a_bug_is_answered_with_a_problem_and_not_with_silence() {
    let house = House::new();
    let reasons = house.reasons.clone();
    let poisoned = std::thread::spawn(move || {
        let _held = reasons.lock().unwrap();
        panic!("as the test wants it");
    });
    assert!(poisoned.join().is_err());
    let answered = house.send(request(Method::GET, "/readyz", &[], "")).await;
    answered.is_problem("a panic", 500, "internal", "");
    assert!(!String::from_utf8_lossy(&answered.body).contains("Poison"), "its words are not for callers");
}
