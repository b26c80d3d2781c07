//! Differences between two states: of the fleet, a node, a file, a document.

use serde_json::{Value, json};

use crate::ask::{House, enrol, put};

/// Two nodes, of which one gets another text; and the positions before and after.
async fn furnished() -> (House, u64, u64) {
    let house = House::new();
    let lund = json!({"match_labels": {"site": "lund"}});
    house.done(json!([enrol("a", json!({"site": "lund"})), enrol("b", json!({"site": "oslo"}))])).await;
    house
        .done(json!([
            put("motd", "etc/motd", "one\ntwo\n", lund.clone()),
            put("all", "etc/all", "x", json!({"all": true}))
        ]))
        .await;
    let before = house.position();
    house.done(json!([put("motd", "etc/motd", "one\n2\n", lund)])).await;
    let after = house.position();
    house.done(json!([enrol("c", json!({}))])).await;
    (house, before, after)
}

fn nodes(diff: &Value) -> Vec<&str> {
    diff["items"].as_array().unwrap().iter().map(|item| item["node"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_fleet_differs_where_records_have_other_files() {
    let (house, before, after) = furnished().await;
    let diff = house.shown(&format!("/v1/diff/fleet?from={before}&to={after}")).await;
    assert_eq!((&diff["from"], &diff["to"], nodes(&diff)), (&json!(before), &json!(after), vec!["a"]));
    assert_ne!(diff["items"][0]["before"], diff["items"][0]["after"]);
    // Up to now, the third node is there, too; a page has as many items as were asked for.
    let first = house.shown(&format!("/v1/diff/fleet?from={before}&limit=1")).await;
    let next = first["next"].as_str().unwrap();
    let second = house.shown(&format!("/v1/diff/fleet?from={before}&limit=1&cursor={next}")).await;
    assert_eq!((nodes(&first), nodes(&second), &second["next"]), (vec!["a"], vec!["c"], &Value::Null));
    assert_eq!(second["items"][0]["before"], Value::Null);
    assert!(nodes(&house.shown(&format!("/v1/diff/fleet?from={after}&to={after}")).await).is_empty());
}

#[tokio::test]
async fn a_node_a_file_and_a_document_differ_line_by_line() {
    let (house, before, after) = furnished().await;
    let range = format!("from={before}&to={after}");
    let node = house.shown(&format!("/v1/diff/nodes/a?{range}")).await;
    let paths: Vec<&Value> = node["files"].as_array().unwrap().iter().map(|file| &file["path"]).collect();
    assert_eq!(paths, [&json!("etc/motd")]);
    assert_ne!(node["before"]["digest"], node["after"]["digest"]);
    let text = "--- a/etc/motd\n+++ b/etc/motd\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n";
    let file = house.shown(&format!("/v1/diff/nodes/a/files/etc/motd?{range}")).await;
    assert_eq!((file["unified"].as_str(), &file["before"]["size"]), (Some(text), &json!(8)));
    let document = house.shown(&format!("/v1/diff/documents/motd?{range}")).await;
    assert_eq!(document["unified"].as_str(), Some(text.replace("etc/motd", "motd").as_str()));
    assert_eq!((&document["before"]["version"], &document["after"]["version"]), (&json!(1), &json!(2)));
    // Before it was put there was no document, and no text.
    let whole = house.shown(&format!("/v1/diff/documents/motd?from=2&to={after}")).await;
    assert_eq!(whole["before"], Value::Null);
    assert!(whole["unified"].as_str().unwrap().ends_with("@@ -0,0 +1,2 @@\n+one\n+2\n"), "{whole}");
}

#[tokio::test]
async fn what_is_no_text_or_too_long_has_no_unified_difference() {
    let house = House::new();
    let bytes = |id: &str, base64: &str| {
        json!({"type": "put_document", "id": id, "path": id, "media_type": "application/octet-stream",
            "content_base64": base64, "target": {"all": true}, "priority": 0})
    };
    house
        .done(json!([bytes("raw", "/w=="), put("long", "long", &"line\n".repeat(60_000), json!({"all": true}))]))
        .await;
    for id in ["raw", "long"] {
        let diff = house.shown(&format!("/v1/diff/documents/{id}?from=2")).await;
        assert_eq!((&diff["unified"], &diff["after"]["id"]), (&Value::Null, &json!(id)));
    }
}

#[tokio::test]
async fn what_can_not_be_compared_is_named() {
    let (house, before, after) = furnished().await;
    let table = [
        ("/v1/diff/fleet".to_owned(), 400, "invalid_parameter", "from"),
        ("/v1/diff/fleet?from=yesterday".to_owned(), 400, "invalid_parameter", "from"),
        (format!("/v1/diff/fleet?from={after}&to={before}"), 400, "invalid_parameter", "from"),
        ("/v1/diff/fleet?from=1&to=9999".to_owned(), 404, "at_in_the_future", "to"),
        ("/v1/diff/fleet?from=9999".to_owned(), 404, "at_in_the_future", "from"),
        ("/v1/diff/nodes/none?from=1".to_owned(), 404, "unknown_entity", "id"),
        ("/v1/diff/nodes/a/files/etc/none?from=1".to_owned(), 404, "unknown_file", "path"),
        ("/v1/diff/documents/none?from=1".to_owned(), 404, "unknown_entity", "id"),
    ];
    for (uri, status, code, field) in table {
        house.get(&uri).await.is_problem(&uri, status, code, field);
    }
}
