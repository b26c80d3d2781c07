//! Taking back what a request did, or what happened since a moment.

use axum::http::Method;
use serde_json::{Value, json};

use crate::ask::{AUDITOR, Answered, House, enrol, put, request};

impl House {
    /// Asks how something is taken back, as the auditor.
    pub(crate) async fn revert(&self, question: &Value) -> Answered {
        let bearer = format!("Bearer {AUDITOR}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        self.send(request(Method::POST, "/v1/reverts", &headers, question.to_string())).await
    }

    /// Takes it back, as it was shown.
    async fn take_back(&self, question: Value) -> Value {
        let answered = self.revert(&question).await;
        assert_eq!(answered.status, 200, "{answered:?}");
        let answer = answered.json();
        let plan = answer["preview"]["plan"].as_str().unwrap().to_owned();
        assert_eq!(answer["preview"]["permitted"], false, "an auditor may look only");
        let sent = self.post("/v1/commands", &[("if-match", &plan)], &answer["request"].to_string()).await;
        assert_eq!(sent.status, 200, "{sent:?}");
        answer
    }

    /// Sends commands as they were shown; the id of the request.
    async fn as_it_was_shown(&self, commands: Value) -> Value {
        let body = json!({"commands": commands}).to_string();
        let shown = self.post("/v1/commands?dry_run=true", &[], &body).await.json();
        let sent = self.post("/v1/commands", &[("if-match", shown["plan"].as_str().unwrap())], &body).await;
        assert_eq!(sent.status, 200, "{sent:?}");
        id(&sent.json())
    }

    /// The digest of each file of a node, by path.
    async fn files(&self, node: &str) -> Value {
        let node = self.shown(&format!("/v1/nodes/{node}")).await;
        let files = node["desired"]["entries"].as_array().unwrap().iter();
        files
            .map(|file| (file["path"].as_str().unwrap().to_owned(), file["digest"].clone()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

fn all() -> Value {
    json!({"all": true})
}

fn id(answer: &Value) -> Value {
    answer["command_id"].clone()
}

#[tokio::test]
async fn what_a_request_did_is_undone_and_what_others_did_stays() {
    let house = House::new();
    house
        .done(json!([
            enrol("n-1", json!({"site": "lund"})), put("a", "a", "1", all()), put("b", "b", "1", all()),
            {"type": "define_control", "id": "c", "title": "one"},
        ]))
        .await;
    let before = house.files("n-1").await;
    let changed = house
        .done(json!([
            put("a", "a", "2", all()), {"type": "remove_document", "id": "b"}, put("n", "new", "2", all()),
            {"type": "label_node", "id": "n-1", "labels": {}}, {"type": "define_control", "id": "c", "title": "two"},
            {"type": "assign_bundle", "id": "loki", "members": ["document/n", "document/a"]},
        ]))
        .await;
    house.done(json!([put("z", "z", "other", all())])).await;
    let undone = house.take_back(json!({"command_id": id(&changed)})).await;
    assert_eq!(undone["to"], 6);
    assert_eq!(undone["request"]["reason"], format!("undo {}", id(&changed).as_str().unwrap()));
    let after = house.files("n-1").await;
    assert_eq!((&after["a"], &after["b"], after.get("new")), (&before["a"], &before["b"], None));
    assert_ne!(after["z"], Value::Null, "what others did stays");
    assert_eq!(house.shown("/v1/nodes/n-1").await["labels"], json!({"site": "lund"}));
    assert_eq!(house.shown("/v1/controls/c").await["title"], "one");
    house.get("/v1/bundles/loki").await.is_problem("it was made by the request", 404, "unknown_entity", "id");
    // It is as it was before, so that there is nothing to do.
    let again = house.revert(&json!({"command_id": id(&changed)})).await.json();
    assert_eq!((&again["request"], &again["preview"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn what_was_changed_since_is_taken_back_only_if_that_is_said() {
    let house = House::new();
    house.done(json!([enrol("n-1", json!({})), put("a", "a", "1", all())])).await;
    let changed = house.done(json!([put("a", "a", "2", all()), put("b", "b", "2", all())])).await;
    house.done(json!([put("a", "a", "3", all())])).await;
    let before = house.position();
    let refused = house.revert(&json!({"command_id": id(&changed)})).await;
    assert!(refused.json()["detail"].as_str().unwrap().contains("document/a (at 7 by ann)"), "{refused:?}");
    refused.is_problem("since", 409, "changed_since", "command_id");
    assert_eq!(house.position(), before);
    house.take_back(json!({"command_id": id(&changed), "only": ["document/b"], "reason": "b was wrong"})).await;
    house.get("/v1/documents/b").await.is_problem("undone", 404, "unknown_entity", "id");
    assert_eq!(house.shown("/v1/documents/a").await["version"], 3);
    house.take_back(json!({"command_id": id(&changed), "anyway": true})).await;
    assert_eq!(house.shown("/v1/documents/a").await["digest"], house.shown("/v1/documents/a?at=4").await["digest"]);
}

#[tokio::test]
async fn the_configuration_of_a_moment_comes_back_with_its_bundles_and_nothing_else_does() {
    let house = House::new();
    house.done(json!([
        enrol("n-1", json!({"a": "1"})), put("a", "x", "1", all()), put("b", "y", "1", all()), put("c", "c", "1", all()),
        {"type": "assign_bundle", "id": "loki", "members": ["document/a", "document/b"]},
        {"type": "assign_bundle", "id": "odin", "members": ["document/c"]},
    ])).await;
    let files = house.files("n-1").await;
    house.done(json!([{"type": "mark", "id": "good"}])).await;
    // Paths go round in a circle, a member goes, another moves to the other bundle.
    house
        .done(json!([
            put("a", "y", "2", all()), put("b", "x", "2", all()), {"type": "remove_document", "id": "c"},
            {"type": "assign_bundle", "id": "odin", "members": ["document/a"], "take": true, "grow": true},
        ]))
        .await;
    house.done(json!([{"type": "label_node", "id": "n-1", "labels": {"a": "2"}}, enrol("n-2", json!({}))])).await;
    let taken = house.take_back(json!({"to": "mark:good"})).await;
    assert_eq!(taken["left"], json!([{"entity": "node/n-2", "why": "enrolled"}]));
    assert_eq!(house.files("n-1").await, files);
    assert_eq!(house.shown("/v1/bundles/loki").await["members"], json!(["document/a", "document/b"]));
    assert_eq!(house.shown("/v1/bundles/odin").await["members"], json!(["document/c"]));
    assert_eq!(house.shown("/v1/nodes/n-1").await["labels"], json!({"a": "1"}));
    assert_eq!(house.shown("/v1/nodes/n-2").await["retired"], false);
    // Only one bundle, and all that belongs or belonged to it.
    let last = house.position();
    house.done(json!([put("a", "x", "9", all()), put("c", "c", "9", all())])).await;
    house.take_back(json!({"to": last, "only": ["bundle/loki"]})).await;
    assert_eq!(house.files("n-1").await["x"], files["x"]);
    assert_ne!(house.files("n-1").await["c"], files["c"]);
}

#[tokio::test]
async fn what_can_not_be_taken_back_is_refused_by_name() {
    let house = House::new();
    let joined = house.done(json!([enrol("n-1", json!({})), put("a", "a", "1", all())])).await;
    let refused = house.revert(&json!({"command_id": id(&joined)})).await;
    assert!(refused.json()["detail"].as_str().unwrap().contains("NodeEnrolled of node/n-1"), "{refused:?}");
    refused.is_problem("enrolment", 409, "not_undoable", "command_id");
    house.take_back(json!({"command_id": id(&joined), "only": ["document/a"]})).await;
    let nobody = "0198f7a2-7c7b-7def-8000-000000000001";
    let refusals = [
        (json!({}), 422, "missing_field", "to"),
        (json!({"to": 1, "command_id": nobody}), 422, "invalid_value", "command_id"),
        (json!({"to": 1, "anyway": true}), 422, "invalid_value", "anyway"),
        (json!({"to": "yesterday"}), 422, "invalid_value", "to"),
        (json!({"to": 99}), 404, "at_in_the_future", "to"),
        (json!({"to": "mark:never"}), 404, "unknown_entity", "to"),
        (json!({"to": 1, "only": ["principal/ann"]}), 422, "invalid_value", "only"),
        (json!({"to": 1, "only": ["document/never"]}), 404, "unknown_entity", "only"),
        (json!({"command_id": nobody}), 404, "unknown_command", "command_id"),
        (json!({"command_id": id(&joined), "only": ["document/z"]}), 422, "invalid_value", "only"),
        (json!({"to": 1, "by": "me"}), 422, "unknown_field", "by"),
        (json!({"to": 1, "reason": "x".repeat(4097)}), 422, "too_large", "reason"),
    ];
    for (question, status, code, field) in refusals {
        house.revert(&question).await.is_problem(&question.to_string(), status, code, field);
    }
    // What a path has become stands in the way, and is named as in any other request.
    let removed = house.done(json!([put("p", "p", "1", all())])).await;
    house.done(json!([{"type": "remove_document", "id": "p"}])).await;
    house.done(json!([put("q", "p/q", "1", all())])).await;
    assert_eq!(house.revert(&json!({"command_id": id(&removed)})).await.json()["request"], Value::Null);
    let answer = house.revert(&json!({"to": house.position() - 2, "only": ["document/p"]})).await;
    answer.is_problem("a folder", 409, "path_conflict", "commands[0].path");
}

#[tokio::test]
async fn what_others_gave_to_bundles_is_theirs() {
    let house = House::new();
    house.done(json!([put("a", "a", "1", all()), put("b", "b", "1", all())])).await;
    let assign =
        |id: &str, members: &[&str]| json!({"type": "assign_bundle", "id": id, "members": members, "take": true});
    // Only what joined is the request's, not what is in it.
    let joined = house.done(json!([assign("loki", &["document/a"])])).await;
    house.done(json!([put("a", "a", "2", all())])).await;
    house.take_back(json!({"command_id": id(&joined)})).await;
    let present = house.shown("/v1/documents/a").await;
    assert_eq!((&present["version"], &present["bundle"]), (&json!(2), &Value::Null));
    // Others took over what was in a bundle that was ended.
    house.done(json!([assign("loki", &["document/a"])])).await;
    let ended = house.done(json!([{"type": "remove_bundle", "id": "loki"}])).await;
    house.done(json!([assign("odin", &["document/a"])])).await;
    let refused = house.revert(&json!({"command_id": id(&ended)})).await;
    assert!(refused.json()["detail"].as_str().unwrap().contains("document/a (at 11 by ann)"), "{refused:?}");
    refused.is_problem("taken over", 409, "changed_since", "command_id");
    // A bundle that others ended is not begun anew.
    let pruned =
        house.as_it_was_shown(json!([{"type": "assign_bundle", "id": "odin", "members": ["document/b"]}])).await;
    house.done(json!([{"type": "remove_bundle", "id": "odin"}])).await;
    let refused = house.revert(&json!({"command_id": pruned})).await;
    assert!(refused.json()["detail"].as_str().unwrap().contains("bundle/odin"), "{refused:?}");
    refused.is_problem("ended", 409, "changed_since", "command_id");
    // What is undone in parts is undone as a whole after that.
    let made = house
        .done(json!([
            put("x", "x", "1", all()),
            put("y", "y", "1", all()),
            assign("new", &["document/x", "document/y"])
        ]))
        .await;
    house.take_back(json!({"command_id": id(&made), "only": ["document/x"]})).await;
    house.take_back(json!({"command_id": id(&made)})).await;
    house.get("/v1/bundles/new").await.is_problem("undone", 404, "unknown_entity", "id");
}

#[tokio::test]
async fn more_than_a_request_takes_is_taken_back_in_parts() {
    let house = House::new();
    let start = house.position();
    // For a node that is not there: one node has at most 1,000 files.
    let target = || json!({"nodes": ["n-9"]});
    let puts = |from: usize| -> Value {
        (from..from + 600).map(|n| put(&format!("d{n}"), &format!("d{n}"), "", target())).collect()
    };
    house.done(puts(0)).await;
    house.done(puts(600)).await;
    house.revert(&json!({"to": start})).await.is_problem("1,200 commands", 422, "too_many", "only");
    let only: Vec<String> = (0..1_000).map(|n| format!("document/d{n}")).collect();
    house.take_back(json!({"to": start, "only": only})).await;
    house.take_back(json!({"to": start})).await;
    assert_eq!(house.shown("/v1/documents").await["items"], json!([]));
}
