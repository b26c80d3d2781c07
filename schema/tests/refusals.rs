//! Bad input over HTTP: each with a stable code and the field as its sender wrote it.

use schema::command::Command;
use schema::invalid::CODES;
use schema::limit::{COMMANDS_MAX, CONTENT_BYTES_MAX, REASON_BYTES_MAX, RELABEL_BYTES_MAX};
use schema::request::Request;
use serde_json::{Value, json};

/// A document that is in order, with some members replaced; `null` takes one away.
fn put(changes: Value) -> Value {
    let mut command = json!({
        "type": "put_document", "id": "d", "path": "a/b.json", "media_type": "application/json",
        "content": "{}", "target": {"all": true}, "priority": 0,
    });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(command.as_object_mut().unwrap().remove(name)),
            value => command[name] = value.clone(),
        }
    }
    command
}

fn target(target: Value) -> Value {
    put(json!({ "target": target }))
}

fn expression(expression: Value) -> Value {
    target(json!({"match_expressions": [{"key": "a", "operator": "Exists"}, expression]}))
}

/// A change of labels that is in order, with some members more.
fn relabel(changes: Value) -> Value {
    let mut command = json!({"type": "relabel_nodes", "target": {"all": true}, "set": {"site": "lund"}});
    for (name, value) in changes.as_object().unwrap() {
        command[name] = value.clone();
    }
    command
}

/// The code and the field with which a body is refused.
fn refusal(body: &str) -> (&'static str, String) {
    let invalid = Request::read(body.as_bytes()).expect_err(body);
    assert!(CODES.contains(&invalid.code), "{} is published", invalid.code);
    assert!(!invalid.detail.is_empty(), "{body}");
    assert!(!invalid.detail.starts_with(invalid.code), "the code is not told twice: {}", invalid.detail);
    (invalid.code, invalid.field)
}

#[track_caller]
fn body_is_refused(body: Value, code: &str, field: &str) {
    assert_eq!(refusal(&body.to_string()), (code_of(code), field.to_string()), "{body:.300}");
}

/// A command that comes second, so that the index in the field is not always 0.
#[track_caller]
fn command_is_refused(command: Value, code: &str, field: &str) {
    let body = json!({"commands": [{"type": "retire_node", "id": "n"}, command]});
    let field = if field.is_empty() { "commands[1]".to_string() } else { format!("commands[1].{field}") };
    body_is_refused(body, code, &field);
}

fn code_of(code: &str) -> &'static str {
    CODES.iter().find(|known| **known == code).unwrap()
}

#[test]
fn what_the_tables_start_from_is_accepted() {
    let body = json!({"reason": "why", "commands": [put(json!({})), {"type": "retire_node", "id": "n"}]});
    let request = Request::read(body.to_string().as_bytes()).unwrap();
    assert_eq!((request.reason.as_deref(), request.commands.len()), (Some("why"), 2));
}

#[test]
fn a_body_that_is_no_request_is_refused() {
    for text in ["", "{", "[1,]", "{\"commands\":[\"\\ud800\"]}", "{} {}", "nul", &"[".repeat(100_000)] {
        assert_eq!(refusal(text), ("invalid_json", String::new()), "{text:.40}");
    }
    assert_eq!(Request::read(b"\"\xff\"").unwrap_err().code, "invalid_json");
    for value in [json!(null), json!(7), json!("commands"), json!([])] {
        body_is_refused(value, "invalid_value", "");
    }
    body_is_refused(json!({}), "missing_field", "commands");
    body_is_refused(json!({"commands": {}}), "invalid_value", "commands");
    body_is_refused(json!({"commands": []}), "invalid_value", "commands");
    body_is_refused(json!({"commands": [7]}), "invalid_value", "commands[0]");
    body_is_refused(json!({"commands": [put(json!({}))], "dry_run": true}), "unknown_field", "dry_run");
    body_is_refused(json!({"commands": [put(json!({}))], "reason": 7}), "invalid_value", "reason");
}

#[test]
fn a_member_named_twice_is_refused_because_its_sender_means_one_of_them() {
    for (text, field) in [
        (r#"{"commands":[],"commands":[{"type":"retire_node","id":"n"}]}"#, "commands"),
        (r#"{"commands":[{"type":"retire_node","id":"n","id":"m"}]}"#, "id"),
        (r#"{"commands":[{"type":"enrol_node","id":"n","labels":{"a":"1","a":"2"}}]}"#, "a"),
    ] {
        let refused = Request::read(text.as_bytes()).expect_err(text);
        assert_eq!(refused.code, "invalid_json", "{text}");
        assert!(refused.detail.contains(&format!("`{field}`")), "{}", refused.detail);
    }
}

#[test]
fn a_command_of_an_unknown_or_later_type_is_refused_by_name() {
    command_is_refused(json!({"id": "n"}), "missing_field", "type");
    command_is_refused(json!({"type": 7}), "invalid_value", "type");
    for unknown in ["", "put_documents", "PutDocument", "note_report", "NoteReport", "expire_claim", "merge"] {
        command_is_refused(json!({"type": unknown, "id": "n"}), "unknown_type", "type");
    }
    for of_nodes in ["propose", "withdraw_proposal"] {
        command_is_refused(json!({"type": of_nodes}), "unknown_type", "type");
    }
    command_is_refused(json!({"type": "reject_proposal", "id": "p"}), "missing_field", "reason");
    command_is_refused(json!({"type": "reject_proposal", "id": "p", "reason": ""}), "invalid_value", "reason");
    let long = "x".repeat(REASON_BYTES_MAX + 1);
    command_is_refused(json!({"type": "reject_proposal", "id": "p", "reason": long}), "too_large", "reason");
    command_is_refused(json!({"type": "accept_proposal", "id": "p", "priority": 1.5}), "invalid_value", "priority");
    command_is_refused(put(json!({"merge": "json"})), "not_available_yet", "merge");
    command_is_refused(put(json!({"merge": "deep"})), "invalid_value", "merge");
    command_is_refused(put(json!({"merge": 7})), "invalid_value", "merge");
}

#[test]
fn an_unknown_or_missing_field_is_named_where_it_stands() {
    command_is_refused(put(json!({"colour": "red"})), "unknown_field", "colour");
    command_is_refused(put(json!({"expected_versions": 1})), "unknown_field", "expected_versions");
    for field in ["id", "path", "media_type", "target", "priority"] {
        command_is_refused(put(json!({ field: null })), "missing_field", field);
    }
    command_is_refused(put(json!({"content": null})), "missing_field", "content");
    for kind in ["remove_document", "retire_node", "retry_node"] {
        command_is_refused(json!({"type": kind}), "missing_field", "id");
        command_is_refused(json!({"type": kind, "id": "n", "labels": {}}), "unknown_field", "labels");
    }
    for kind in ["enrol_node", "label_node"] {
        command_is_refused(json!({"type": kind, "id": "n"}), "missing_field", "labels");
        command_is_refused(json!({"type": kind, "id": "n", "labels": {}, "label": {}}), "unknown_field", "label");
    }
    command_is_refused(json!({"type": "relabel_nodes", "set": {"a": "b"}}), "missing_field", "target");
    command_is_refused(json!({"type": "relabel_nodes", "target": {"all": true}}), "missing_field", "set");
    command_is_refused(relabel(json!({"labels": {}})), "unknown_field", "labels");
    let principal = json!({"type": "create_principal", "name": "ann", "role": "admin"});
    command_is_refused(principal, "missing_field", "token_hash");
    command_is_refused(json!({"type": "revoke_principal"}), "missing_field", "name");
    command_is_refused(json!({"type": "revoke_principal", "id": "ann"}), "unknown_field", "id");
}

#[test]
fn a_field_inside_a_target_is_named_by_its_whole_path() {
    command_is_refused(target(json!({"nodez": ["n"]})), "unknown_field", "target.nodez");
    command_is_refused(target(json!({"target": {"all": true}})), "unknown_field", "target.target");
    command_is_refused(expression(json!({"key": "k"})), "missing_field", "target.match_expressions[1].operator");
    command_is_refused(expression(json!({"operator": "Exists"})), "missing_field", "target.match_expressions[1].key");
    command_is_refused(
        expression(json!({"key": "k", "operator": "Exists", "value": "x"})),
        "unknown_field",
        "target.match_expressions[1].value",
    );
}

#[test]
fn bad_ids_are_refused_wherever_they_stand() {
    for bad in ["", "-a", "a.b", "a/b", "a b", "é", &"a".repeat(65)] {
        command_is_refused(put(json!({ "id": bad })), "invalid_id", "id");
        for kind in ["remove_document", "retire_node", "retry_node"] {
            command_is_refused(json!({"type": kind, "id": bad}), "invalid_id", "id");
        }
        command_is_refused(json!({"type": "enrol_node", "id": bad, "labels": {}}), "invalid_id", "id");
        command_is_refused(json!({"type": "revoke_principal", "name": bad}), "invalid_id", "name");
        command_is_refused(target(json!({"nodes": ["n", bad]})), "invalid_id", "target.nodes[1]");
    }
    command_is_refused(put(json!({"id": 7})), "invalid_value", "id");
}

#[test]
fn every_path_that_is_not_one_is_refused() {
    let long = "a".repeat(256);
    for bad in ["", "/a", "a/", "a//b", ".", "a/../b", "./a", "a\\b", "a\nb", "jobs", "jobs/x", "u\u{308}", &long] {
        command_is_refused(put(json!({ "path": bad })), "invalid_path", "path");
    }
    for unseen in ["\u{202e}", "\u{200b}", "\u{feff}", "\u{2028}", "\u{2029}", "\u{ad}", "\u{2066}"] {
        command_is_refused(put(json!({"path": format!("etc/a{unseen}b")})), "invalid_path", "path");
    }
}

#[test]
fn empty_and_contradictory_targets_are_refused() {
    for empty in [
        json!({}),
        json!({"all": false}),
        json!({"nodes": []}),
        json!({"match_labels": {}}),
        json!({"match_expressions": []}),
    ] {
        command_is_refused(target(empty), "empty_target", "target");
    }
    for both in [
        json!({"all": true, "nodes": ["n"]}),
        json!({"all": false, "nodes": ["n"]}),
        json!({"all": true, "match_labels": {"a": "b"}}),
        json!({"nodes": ["n"], "match_expressions": [{"key": "k", "operator": "Exists"}]}),
    ] {
        command_is_refused(target(both), "invalid_target", "target");
    }
    command_is_refused(target(json!("all")), "invalid_value", "target");
    command_is_refused(target(json!({"all": "yes"})), "invalid_value", "target.all");
    command_is_refused(target(json!({"match_labels": {"site": 7}})), "invalid_value", "target.match_labels.site");
}

#[test]
fn expressions_are_refused_at_the_place_that_is_wrong() {
    for unknown in ["in", "Near", ""] {
        command_is_refused(
            expression(json!({"key": "k", "operator": unknown, "values": ["x"]})),
            "unknown_operator",
            "target.match_expressions[1].operator",
        );
    }
    for (operator, values) in [("In", json!([])), ("NotIn", json!([])), ("Exists", json!(["x"]))] {
        let form = json!({"key": "k", "operator": operator, "values": values});
        command_is_refused(expression(form), "invalid_target", "target.match_expressions[1]");
    }
    command_is_refused(
        expression(json!({"key": "k", "operator": "DoesNotExist", "values": ["x"]})),
        "invalid_target",
        "target.match_expressions[1]",
    );
    command_is_refused(
        expression(json!({"key": "k", "operator": "In", "values": ["x", 7]})),
        "invalid_value",
        "target.match_expressions[1].values[1]",
    );
    command_is_refused(
        expression(json!({"key": 7, "operator": "In", "values": ["x"]})),
        "invalid_value",
        "target.match_expressions[1].key",
    );
    command_is_refused(
        expression(json!({"key": "k", "operator": 7})),
        "invalid_value",
        "target.match_expressions[1].operator",
    );
    command_is_refused(expression(json!("k")), "invalid_value", "target.match_expressions[1]");
}

#[test]
fn values_of_the_wrong_kind_are_refused_at_their_field() {
    command_is_refused(put(json!({"media_type": "json"})), "invalid_value", "media_type");
    command_is_refused(put(json!({"media_type": "text/\u{e9}"})), "invalid_value", "media_type");
    for priority in [json!("1"), json!(1.5), json!(2_147_483_648_u64), json!(-2_147_483_649_i64)] {
        command_is_refused(put(json!({ "priority": priority })), "invalid_value", "priority");
    }
    command_is_refused(put(json!({"content": {"a": 1}})), "invalid_value", "content");
    command_is_refused(put(json!({"content": null, "content_base64": "a"})), "invalid_value", "content_base64");
    command_is_refused(put(json!({"content_base64": "e30="})), "invalid_value", "content_base64");
    for version in [json!("1"), json!(-1), json!(1.0)] {
        command_is_refused(put(json!({ "expected_version": version })), "invalid_value", "expected_version");
    }
    let labelled = |labels: Value| json!({"type": "label_node", "id": "n", "labels": labels});
    command_is_refused(labelled(json!([])), "invalid_value", "labels");
    command_is_refused(labelled(json!({"site": 7})), "invalid_value", "labels.site");
    command_is_refused(relabel(json!({"set": {"site": 7}})), "invalid_value", "set.site");
    command_is_refused(relabel(json!({"unset": {"site": true}})), "invalid_value", "unset");
    command_is_refused(relabel(json!({"unset": ["old", "site"]})), "invalid_value", "unset");
    let long = |bytes: usize| relabel(json!({"set": {"a": "x".repeat(bytes)}}));
    command_is_refused(long(RELABEL_BYTES_MAX), "too_large", "set");
    assert!(Request::read(json!({"commands": [long(RELABEL_BYTES_MAX - 1)]}).to_string().as_bytes()).is_ok());
    let hash = "0".repeat(64);
    let principal =
        |role: &str, hash: &str| json!({"type": "create_principal", "name": "a", "role": role, "token_hash": hash});
    command_is_refused(principal("root", &hash), "invalid_value", "role");
    command_is_refused(principal("admin", "0"), "invalid_value", "token_hash");
    command_is_refused(principal("admin", &"A".repeat(64)), "invalid_value", "token_hash");
}

#[test]
fn limits_hold_to_the_last_byte() {
    let commands = |count| vec![json!({"type": "retire_node", "id": "n"}); count];
    let read = |body: Value| Request::read(body.to_string().as_bytes());
    assert_eq!(read(json!({"commands": commands(COMMANDS_MAX)})).unwrap().commands.len(), 1_000);
    body_is_refused(json!({"commands": commands(COMMANDS_MAX + 1)}), "too_many", "commands");

    let reasoned = |text: String| json!({"reason": text, "commands": commands(1)});
    assert!(read(reasoned("é".repeat(REASON_BYTES_MAX / 2))).is_ok());
    body_is_refused(reasoned("é".repeat(REASON_BYTES_MAX / 2) + "x"), "too_large", "reason");

    let content = |bytes| put(json!({"content": "x".repeat(bytes)}));
    assert!(read(json!({"commands": [content(CONTENT_BYTES_MAX)]})).is_ok());
    command_is_refused(content(CONTENT_BYTES_MAX + 1), "too_large", "content");
    // 4 MiB and 2 bytes, the first length over the limit that needs no padding.
    let encoded = "AAAA".repeat(CONTENT_BYTES_MAX / 3 + 1);
    command_is_refused(put(json!({"content": null, "content_base64": encoded})), "too_large", "content_base64");
}

#[test]
fn no_text_holds_u_0000() {
    command_is_refused(put(json!({"content": "a\0"})), "nul_in_text", "content");
    command_is_refused(put(json!({"path": "\0"})), "nul_in_text", "path");
    command_is_refused(put(json!({"a\0b": 1})), "nul_in_text", "");
    command_is_refused(target(json!({"nodes": ["n", "\0"]})), "nul_in_text", "target.nodes[1]");
    command_is_refused(target(json!({"match_labels": {"k": "\0"}})), "nul_in_text", "target.match_labels.k");
    command_is_refused(target(json!({"match_labels": {"\0": "v"}})), "nul_in_text", "target.match_labels");
    command_is_refused(
        expression(json!({"key": "k", "operator": "In", "values": ["\0"]})),
        "nul_in_text",
        "target.match_expressions[1].values[0]",
    );
    command_is_refused(json!({"type": "enrol_node", "id": "n", "labels": {"k\0": ""}}), "nul_in_text", "labels");
    body_is_refused(json!({"reason": "\0", "commands": []}), "nul_in_text", "reason");
    body_is_refused(json!({"\0": 1}), "nul_in_text", "");
    let sent = put(json!({"content": null, "content_base64": "AAAA"}));
    let request = Request::read(json!({"commands": [sent]}).to_string().as_bytes()).unwrap();
    let Command::PutDocument(read) = &request.commands[0].command else { panic!("a document was sent") };
    assert_eq!(&read.content.given().unwrap().bytes()[..], [0, 0, 0], "content itself may hold it");
}

#[test]
fn the_fingerprint_tells_requests_apart_and_not_their_spelling() {
    let fingerprint = |text: &str| Request::read(text.as_bytes()).unwrap().fingerprint;
    let plain = r#"{"reason":"r","commands":[{"type":"enrol_node","id":"n","labels":{"a":"1","b":"2"}}]}"#;
    let spelt = r#"{ "commands": [{"labels":{"b":"2","\u0061":"1"},"id":"n","type":"enrol_node"}], "reason":"r" }"#;
    assert_eq!(fingerprint(plain), fingerprint(spelt));
    for (from, to) in [("\"r\"", "\"s\""), ("\"n\"", "\"m\""), ("\"1\"", "\"2\"")] {
        assert_ne!(fingerprint(plain), fingerprint(&plain.replace(from, to)), "{to}");
    }
}
