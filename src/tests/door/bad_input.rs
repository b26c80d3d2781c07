//! Bad input: each with its code, the offending field, and nothing written.

use axum::http::Method;
use serde_json::{Value, json};

use crate::ask::{ADMIN, House, enrol, put, request};

/// Status, code, field; and where, under which headers and with which body this comes back.
type Row<'a> = (u16, &'a str, &'a str, &'a str, &'a [(&'a str, &'a str)], &'a str);

fn all() -> Value {
    json!({"all": true})
}

fn with(mut value: Value, field: &str, to: Value) -> Value {
    value[field] = to;
    value
}

fn without(mut value: Value, field: &str) -> Value {
    value.as_object_mut().unwrap().remove(field);
    value
}

/// A house in which there is something to collide with.
async fn furnished() -> House {
    let house = House::new();
    house
        .done(json!([
            enrol("n-1", json!({"site": "lund"})),
            enrol("n-2", json!({})),
            {"type": "retire_node", "id": "n-2"},
            put("there", "etc/app.json", "{}", json!({"nodes": ["n-1"]})),
        ]))
        .await;
    house
}

/// A status, a code, the field that it is about, and the command that is answered so.
type WrongCommand = (u16, &'static str, &'static str, Value);

fn good() -> Value {
    put("d", "d.json", "{}", all())
}

fn at(path: &str) -> Value {
    put("d", path, "{}", all())
}

fn principal(name: &str, hash: &str) -> Value {
    json!({"type": "create_principal", "name": name, "role": "auditor", "token_hash": hash})
}

/// Commands that are wrong whatever the log says.
fn wrong_commands() -> Vec<WrongCommand> {
    let target = |target| put("d", "d.json", "{}", target);
    vec![
        (422, "unknown_type", "type", json!({"type": "fly"})),
        (422, "missing_field", "type", json!({})),
        (422, "unknown_type", "type", json!({"type": "propose"})),
        (422, "unknown_field", "colour", with(good(), "colour", json!("red"))),
        (422, "missing_field", "target", without(good(), "target")),
        (422, "missing_field", "content", without(good(), "content")),
        (422, "invalid_value", "content_base64", with(good(), "content_base64", json!("AA=="))),
        (422, "invalid_value", "priority", with(good(), "priority", json!("high"))),
        (422, "invalid_value", "media_type", with(good(), "media_type", json!("text"))),
        (422, "not_available_yet", "merge", with(good(), "merge", json!("json"))),
        (422, "invalid_id", "id", with(good(), "id", json!("a.b"))),
        (422, "invalid_id", "id", json!({"type": "retire_node", "id": ""})),
        (422, "invalid_path", "path", at("")),
        (422, "invalid_path", "path", at("/etc/passwd")),
        (422, "invalid_path", "path", at("a//b")),
        (422, "invalid_path", "path", at("a/./b")),
        (422, "invalid_path", "path", at("../a")),
        (422, "invalid_path", "path", at("a\\b")),
        (422, "invalid_path", "path", at("a\nb")),
        (422, "invalid_path", "path", at("jobs/a.json")),
        (422, "invalid_path", "path", at("u\u{308}")),
        (422, "invalid_path", "path", at(&"a".repeat(256))),
        (422, "empty_target", "target", target(json!({}))),
        (422, "empty_target", "target", target(json!({"nodes": []}))),
        (422, "empty_target", "target", target(json!({"match_labels": {}}))),
        (422, "invalid_target", "target", target(json!({"all": true, "nodes": ["n-1"]}))),
        (422, "unknown_field", "target.node", target(json!({"node": "n-1"}))),
        (
            422,
            "unknown_operator",
            "target",
            target(json!({"match_expressions": [{"key": "k", "operator": "Near", "values": ["x"]}]})),
        ),
        (422, "nul_in_text", "content", with(good(), "content", json!("a\0b"))),
        (422, "nul_in_text", "labels.a", enrol("n-3", json!({"a": "\0"}))),
        (422, "too_large", "content", with(good(), "content", json!("x".repeat(4 * 1024 * 1024 + 1)))),
        (422, "event_too_large", "", enrol("n-3", json!({"a": "x".repeat(256 * 1024)}))),
        (422, "invalid_value", "expected_version", with(good(), "expected_version", json!(-1))),
        (422, "invalid_value", "token_hash", principal("eve", "secret")),
    ]
}

fn relabel(target: Value) -> Value {
    json!({"type": "relabel_nodes", "target": target, "set": {"ring": "1"}})
}

/// Commands that the log contradicts.
fn wrong_for_the_state() -> Vec<WrongCommand> {
    let ann = schema::digest::Digest::of(ADMIN.as_bytes()).to_string();
    vec![
        (409, "path_conflict", "path", at("etc")),
        (409, "path_conflict", "path", at("etc/app.json/x")),
        (
            409,
            "version_conflict",
            "expected_version",
            with(put("there", "d.json", "{}", all()), "expected_version", json!(7)),
        ),
        (
            409,
            "version_conflict",
            "expected_version",
            with(put("there", "d.json", "{}", all()), "expected_version", json!(0)),
        ),
        (404, "unknown_entity", "id", json!({"type": "remove_document", "id": "nowhere"})),
        (404, "unknown_entity", "id", json!({"type": "label_node", "id": "nowhere", "labels": {}})),
        (404, "unknown_entity", "target", relabel(json!({"nodes": ["n-1", "nowhere"]}))),
        (409, "node_retired", "target", relabel(json!({"nodes": ["n-1", "n-2"]}))),
        (404, "unknown_entity", "name", json!({"type": "revoke_principal", "name": "nobody"})),
        (409, "already_enrolled", "id", enrol("n-1", json!({}))),
        (409, "node_retired", "id", json!({"type": "retry_node", "id": "n-2"})),
        (409, "principal_exists", "name", principal("otto", &"0".repeat(64))),
        (409, "token_in_use", "token_hash", principal("eve", &ann)),
        (409, "last_admin", "name", json!({"type": "revoke_principal", "name": "ann"})),
    ]
}

#[tokio::test]
async fn a_bad_command_has_a_code_and_a_field_and_writes_nothing() {
    let house = furnished().await;
    let before = house.position();
    for (status, code, field, command) in wrong_commands().into_iter().chain(wrong_for_the_state()) {
        let what = command.to_string().chars().take(120).collect::<String>();
        let field = if field.is_empty() { "commands[1]".to_string() } else { format!("commands[1].{field}") };
        // The good command that comes first must go down with the bad one.
        let answered = house.ask(json!([enrol("n-9", json!({})), command])).await;
        if code == "unknown_operator" {
            assert!(answered.json()["field"].as_str().unwrap().starts_with(&field), "{answered}");
            assert_eq!(
                (answered.status.as_u16(), answered.json()["code"].as_str()),
                (status, Some(code)),
                "{answered}"
            );
        } else {
            answered.is_problem(&what, status, code, &field);
        }
        assert_eq!(house.position(), before, "{what} wrote something");
    }
}

#[tokio::test]
async fn a_bad_request_has_a_code_and_a_field_and_writes_nothing() {
    let house = furnished().await;
    let before = house.position();
    let good = json!({"commands": [enrol("n-9", json!({}))]}).to_string();
    let many = json!({"commands": vec![enrol("n-9", json!({})); 1_001]}).to_string();
    let long = json!({"reason": "x".repeat(4_097), "commands": [enrol("n-9", json!({}))]}).to_string();
    let large = " ".repeat(8 * 1024 * 1024 + 1);
    let commands = "/v1/commands";
    let table: [Row<'_>; 19] = [
        (400, "invalid_json", "", commands, &[], "{"),
        (400, "invalid_json", "", commands, &[], ""),
        (422, "invalid_value", "", commands, &[], "[]"),
        (422, "missing_field", "commands", commands, &[], "{}"),
        (422, "invalid_value", "commands", commands, &[], r#"{"commands": []}"#),
        (
            422,
            "unknown_field",
            "command",
            commands,
            &[],
            r#"{"commands": [{"type": "retire_node", "id": "n-1"}], "command": 1}"#,
        ),
        (422, "too_many", "commands", commands, &[], &many),
        (422, "too_large", "reason", commands, &[], &long),
        (422, "nul_in_text", "reason", commands, &[], r#"{"reason": "\u0000", "commands": []}"#),
        (413, "body_too_large", "", commands, &[], &large),
        (400, "unknown_parameter", "dryrun", "/v1/commands?dryrun=true", &[], &good),
        (400, "invalid_parameter", "dry_run", "/v1/commands?dry_run=yes", &[], &good),
        (400, "invalid_idempotency_key", "Idempotency-Key", commands, &[("idempotency-key", "a b")], &good),
        (400, "invalid_idempotency_key", "Idempotency-Key", commands, &[("idempotency-key", "")], &good),
        (415, "unsupported_content_encoding", "Content-Encoding", commands, &[("content-encoding", "gzip")], &good),
        (
            415,
            "unsupported_content_encoding",
            "Content-Encoding",
            commands,
            &[("content-encoding", "identity, br")],
            &good,
        ),
        (404, "unknown_route", "", "/v1/command", &[], &good),
        (405, "method_not_allowed", "", "/v1/documents", &[], &good),
        (405, "method_not_allowed", "", "/healthz", &[], &good),
    ];
    for (status, code, field, uri, headers, body) in table {
        let answered = house.post(uri, headers, body).await;
        answered.is_problem(&format!("{uri} {code}"), status, code, field);
        assert_eq!(house.position(), before, "{code} wrote something");
    }
    let bearer = format!("Bearer {ADMIN}");
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"] {
        let headers = [("authorization", bearer.as_str()), ("content-type", kind)];
        let answered = house.send(request(Method::POST, commands, &headers, good.clone())).await;
        answered.is_problem(kind, 415, "unsupported_media_type", "Content-Type");
    }
    assert_eq!(house.position(), before);
}

#[tokio::test]
async fn what_a_node_could_not_be_sent_is_refused_at_the_door() {
    let house = furnished().await;
    let file = |number: usize, padding: usize, content: &str| {
        put(&format!("f-{number}"), &format!("{number:0>padding$}"), content, json!({"nodes": ["n-1"]}))
    };
    // `there` is one file of n-1 already.
    let short: Vec<Value> = (0..999).map(|number| file(number, 4, "")).collect();
    house.done(json!(short)).await;
    let before = house.position();
    let answered = house.ask(json!([file(1_000, 4, "")])).await;
    answered.is_problem("the 1001st file", 422, "too_many_entries", "commands");
    let wide =
        |number| with(file(number, 255, &"x".repeat(260)), "media_type", json!(format!("a/{}", "b".repeat(250))));
    let long: Vec<Value> = (0..999).map(|number| with(wide(number), "id", json!(format!("f-{number}")))).collect();
    let answered = house.ask(json!(long)).await;
    answered.is_problem("long paths", 422, "record_too_large", "commands");
    assert_eq!(house.position(), before);
}

#[tokio::test]
async fn a_bad_question_has_a_code_and_a_field() {
    let house = furnished().await;
    let head = house.position();
    let table = [
        (400, "unknown_parameter", "colour", "/v1/documents?colour=red"),
        (400, "invalid_parameter", "limit", "/v1/documents?limit=0"),
        (400, "invalid_parameter", "limit", "/v1/nodes?limit=1001"),
        (400, "invalid_parameter", "limit", "/v1/nodes?limit=1&limit=2"),
        (400, "invalid_parameter", "cursor", "/v1/nodes?cursor=%21"),
        (400, "invalid_parameter", "cursor", "/v1/events?cursor=x"),
        (400, "invalid_parameter", "after", "/v1/events?after=-1"),
        (400, "invalid_parameter", "entity", "/v1/events?entity=planet/mars"),
        (400, "invalid_parameter", "type", "/v1/events?type=Exploded"),
        (400, "invalid_parameter", "at", "/v1/fleet?at=yesterday"),
        (400, "invalid_parameter", "min_position", "/v1/fleet?min_position=x"),
        (404, "at_in_the_future", "at", &format!("/v1/fleet?at={}", head + 1)),
        (400, "invalid_parameter", "at", "/v1/fleet?at=9999-12-31T23:59:59"),
        (400, "unknown_parameter", "since", "/v1/log?since=1"),
        (400, "invalid_parameter", "id", "/v1/documents/a.b"),
        (404, "unknown_entity", "id", "/v1/documents/nowhere"),
        (404, "unknown_entity", "id", "/v1/documents/nowhere/content"),
        (404, "unknown_entity", "id", "/v1/documents/nowhere/versions"),
        (404, "unknown_entity", "id", "/v1/nodes/nowhere"),
        (404, "unknown_entity", "id", "/v1/nodes/nowhere/files/a"),
        (404, "unknown_entity", "id", "/v1/principals/nobody"),
        (404, "unknown_file", "path", "/v1/nodes/n-1/files/nothing"),
        (404, "unknown_entity", "id", "/v1/controls/nowhere"),
        (404, "unknown_entity", "id", "/v1/components/nowhere"),
        (404, "unknown_entity", "id", "/v1/assessments/nowhere"),
        (404, "unknown_entity", "id", "/v1/attestations/nowhere"),
        (404, "unknown_entity", "id", "/v1/jobs/nowhere"),
        (400, "invalid_parameter", "id", "/v1/jobs/a.b"),
        (400, "unknown_parameter", "control", "/v1/coverage?control=ac-1"),
        (404, "unknown_entity", "id", "/v1/proposals/p"),
        (400, "invalid_parameter", "state", "/v1/proposals?state=waiting"),
        (400, "invalid_parameter", "node", "/v1/proposals?node=a.b"),
        (400, "invalid_parameter", "cursor", "/v1/proposals?cursor=YQ"),
        (404, "unknown_route", "", "/anything"),
        (404, "unknown_route", "", "/v1/documents/"),
        (400, "bad_request", "", "/v1/documents/%ff"),
        (405, "method_not_allowed", "", "/v1/commands"),
    ];
    for (status, code, field, uri) in table {
        house.get(uri).await.is_problem(uri, status, code, field);
    }
    assert_eq!(house.get("/v1/commands").await.header("allow"), "POST,OPTIONS");
}
