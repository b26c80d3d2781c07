//! What can't be is refused by name, and leaves no trace.

use serde_json::{Value, json};

use testkit::fleet::Fleet;
use testkit::law::{self, Line};

fn put(id: &str, path: &str, more: Value) -> Value {
    let mut put = json!({
        "type": "put_document", "id": id, "path": path, "media_type": "text/plain", "content": "x",
        "target": {"all": true}, "priority": 0,
    });
    put.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    put
}

/// The log without what nodes reported meanwhile.
fn commanded(log: Vec<Line>) -> Vec<(String, u64, String)> {
    let by_command = log.into_iter().filter(|line| !line.entity.starts_with("report/"));
    by_command.map(|line| (line.entity, line.version, line.data)).collect()
}

#[tokio::test]
async fn what_is_refused_leaves_no_trace() {
    let mut fleet = Fleet::start().await;
    fleet.node("a", json!({})).await;
    let api = fleet.api().clone();
    let one = json!({"commands": [put("one", "etc/one", json!({}))]});
    assert_eq!(api.post(&one, Some("key")).await.unwrap().status, 200);
    fleet.converges(&[("a".to_owned(), [("files/etc/one".to_owned(), b"x".to_vec())].into())].into()).await;
    let log = commanded(law::holds(&fleet.backends).await);

    let big = "x".repeat(4 * 1024 * 1024 + 1);
    let refused = [
        (422, "unknown_type", "commands[0].type", json!({"type": "put_documents", "id": "x"})),
        (422, "unknown_field", "commands[0].colour", put("x", "x", json!({"colour": "red"}))),
        (422, "invalid_id", "commands[0].id", put("-x", "x", json!({}))),
        (422, "invalid_path", "commands[0].path", put("x", "../x", json!({}))),
        (409, "path_conflict", "commands[0].path", put("x", "etc", json!({}))),
        (409, "path_conflict", "commands[0].path", put("x", "etc/one/x", json!({}))),
        (422, "nul_in_text", "commands[0].content", put("x", "x", json!({"content": "a\u{0}b"}))),
        (422, "too_large", "commands[0].content", put("x", "x", json!({"content": big}))),
        (409, "version_conflict", "commands[0].expected_version", put("one", "x", json!({"expected_version": 7}))),
        (404, "unknown_entity", "commands[0].id", json!({"type": "remove_document", "id": "x"})),
        (422, "not_available_yet", "commands[0].merge", put("x", "x", json!({"merge": "json"}))),
    ];
    for (status, code, field, command) in refused {
        let answer = api.post(&json!({"commands": [command]}), None).await.unwrap();
        let said = (answer.status, answer.code().to_owned(), answer.body["field"].as_str().unwrap_or_default());
        assert_eq!(said, (status, code.to_owned(), field), "{}", answer.body);
    }

    // The good half of a bad request is not kept either.
    let half = json!({"commands": [put("x", "x", json!({})), {"type": "retire_node", "id": "nobody"}]});
    let answer = api.post(&half, None).await.unwrap();
    assert_eq!(
        (answer.status, answer.code(), &answer.body["field"]),
        (404, "unknown_entity", &json!("commands[1].id"))
    );

    // A key stands for one body.
    let other = json!({"commands": [put("other", "other", json!({}))]});
    let answer = api.post(&other, Some("key")).await.unwrap();
    assert_eq!((answer.status, answer.code()), (409, "idempotency_key_reused"));
    let again = api.post(&one, Some("key")).await.unwrap();
    assert_eq!(again.status, 200, "{again:?}");

    // Nobody gets in without a token, with a wrong one, or beyond the role.
    assert_eq!(api.with_token("").post(&other, None).await.unwrap().code(), "missing_token");
    assert_eq!(api.with_token("hw_wrong").post(&other, None).await.unwrap().code(), "invalid_token");
    let not_json = api.post_bytes(b"{\"commands\": [".into(), None).await.unwrap();
    assert_eq!((not_json.status, not_json.code()), (400, "invalid_json"));

    assert_eq!(commanded(law::holds(&fleet.backends).await), log, "nothing was written");
}

#[tokio::test]
async fn an_auditor_reads_and_changes_nothing() {
    let fleet = Fleet::start().await;
    let token = "hw_auditor";
    let hash = schema::digest::Digest::of(token.as_bytes()).to_string();
    let create = json!({"type": "create_principal", "name": "eve", "role": "auditor", "token_hash": hash});
    fleet.api().accepted(json!({"commands": [create]})).await;
    let eve = fleet.api().with_token(token);
    assert_eq!(eve.get("/v1/documents").await.unwrap().status, 200);
    let body = json!({"commands": [put("x", "x", json!({}))]});
    let answer = eve.post(&body, None).await.unwrap();
    assert_eq!((answer.status, answer.code()), (403, "not_permitted"));

    fleet.api().accepted(json!({"commands": [{"type": "revoke_principal", "name": "eve"}]})).await;
    assert_eq!(eve.get("/v1/documents").await.unwrap().status, 401, "a revoked token opens nothing");
    assert_eq!(law::holds(&fleet.backends).await.len() as u64, fleet.api().position().await);
}
