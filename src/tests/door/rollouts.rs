//! Rollouts at the door: what a start is shown to do, and what is said of documents and nodes while a rollout is open.

use std::time::Duration;

use schema::digest::Digest;
use serde_json::{Value, json};

use crate::ask::{House, enrol, put};
use crate::states::report;

fn all() -> Value {
    json!({"all": true})
}

fn staged(id: &str, path: &str, content: &str) -> Value {
    let mut put = put(id, path, content, all());
    put["rollout"] = json!("r");
    put
}

fn open() -> Value {
    json!({"type": "open_rollout", "id": "r", "max_in_flight": 5, "settle_s": 30, "stages": [
        {"name": "canary", "select": {"match_labels": {"canary": "1"}}, "bake_s": 40},
        {"name": "half", "up_to": {"percent": 50}, "bake_s": 20}]})
}

fn start() -> Value {
    json!({"type": "start_rollout", "id": "r"})
}

/// Four nodes, of which one is a canary, and one more with that label is not heard.
async fn fleet() -> House {
    let house = House::new();
    let nodes = ["n-1", "n-2", "n-3", "n-4"];
    let enrolled: Vec<Value> =
        nodes.iter().map(|id| enrol(id, if *id < "n-3" { json!({"canary": "1"}) } else { json!({}) })).collect();
    house.done(json!(enrolled)).await;
    for id in nodes.into_iter().filter(|id| *id != "n-2") {
        house.hear(report(id, None), Duration::ZERO);
    }
    house
}

#[tokio::test]
async fn a_dry_run_of_a_start_shows_every_stage_and_who_stands_apart() {
    let house = fleet().await;
    let commands = json!([open(), staged("d", "etc/d", "new"), start()]);
    let said = house.dry_run(&commands).await.json();
    assert_eq!((&said["nodes"], said["rollouts"].as_array().unwrap().len()), (&json!([]), 1));
    let rollout = &said["rollouts"][0];
    assert_eq!((&rollout["rollout"], &rollout["members"], &rollout["bake_s"]), (&json!("r"), &json!(4), &json!(80)));
    let stages: Vec<Value> = rollout["stages"].as_array().unwrap().clone();
    let brief = |stage: &Value| (stage["name"].clone(), stage["members"].clone(), stage["quota"].clone());
    assert_eq!(
        stages.iter().map(brief).collect::<Vec<_>>(),
        [
            (json!("canary"), json!(2), json!(2)),
            (json!("half"), json!(3), json!(1)),
            (json!("rest"), json!(2), json!(2)),
        ]
    );
    assert_eq!(stages[0]["first"], json!({"nodes": ["n-1"], "more": 0}), "the other one is not heard");
    let first = |index: usize| stages[index]["first"]["nodes"][0].clone();
    assert_eq!(
        [first(1), first(2)].iter().filter(|id| [json!("n-3"), json!("n-4")].contains(id)).count(),
        2,
        "nobody is released twice: {rollout}"
    );
    assert_eq!(rollout["offline"], json!({"nodes": ["n-2"], "more": 0}));
    for none in ["moot", "unwell", "busy", "other_rollout", "rejected"] {
        assert_eq!(rollout[none], json!({"nodes": [], "more": 0}), "{none}");
    }
    let changed = json!({"path": "etc/d", "before": null, "document": "d",
        "after": {"digest": Digest::of(b"new"), "mode": "644"}});
    let nodes = rollout["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 4);
    assert!(nodes.iter().all(|node| node["files"] == json!([changed]) && node["before"] != node["after"]));
    assert!(rollout["largest_record"]["bytes"].as_u64().unwrap() > 100, "{rollout}");
    // What was foretold is what happens, byte for byte.
    house.done(commands).await;
    let other = house.dry_run(&json!([put("e", "e", "x", all())])).await.json();
    assert!(other.get("rollouts").is_none(), "a request that starts none has none: {other}");
}

#[tokio::test]
async fn a_start_that_would_change_something_else_by_now_is_refused() {
    let house = fleet().await;
    house.done(json!([open(), staged("d", "etc/d", "new")])).await;
    let shown = async || house.dry_run(&json!([start()])).await.json()["plan"].as_str().unwrap().to_owned();
    let plan = shown().await;
    // Who is heard is no part of it, nor is another path of the same nodes.
    house.hear(report("n-2", None), Duration::ZERO);
    house.done(json!([put("other", "other", "x", all())])).await;
    assert_eq!(shown().await, plan);
    let refused = async |what: &str, plan: &str| {
        let before = house.position();
        house.planned(&json!([start()]), plan, None).await.is_problem(what, 412, "plan_changed", "If-Match");
        assert_eq!(house.position(), before);
    };
    // Nothing of this concerns a node yet: only the rollout would do something else.
    house.done(json!([staged("d", "etc/d", "newer")])).await;
    refused("other content was staged", &plan).await;
    let plan = shown().await;
    house.done(json!([staged("e", "etc/e", "more")])).await;
    refused("one document more was staged", &plan).await;
    let plan = shown().await;
    house.done(json!([enrol("n-5", json!({}))])).await;
    refused("one node more would get it", &plan).await;
    let plan = shown().await;
    house.done(json!([{"type": "put_document", "id": "over", "path": "etc/d", "media_type": "text/plain", "content": "over",
        "target": {"nodes": ["n-3"]}, "priority": 7}])).await;
    refused("a node would not get it any more", &plan).await;
    let answered = house.planned(&json!([start()]), &shown().await, None).await;
    assert_eq!(answered.status, 200, "{answered}");
    assert_eq!(answered.json()["events"].as_array().unwrap().last().unwrap()["type"], "PlanKept");
}

#[tokio::test]
async fn a_document_is_shown_as_it_is_and_as_the_rollout_makes_it() {
    let house = fleet().await;
    house.done(json!([put("d", "etc/d", "old", all()), put("gone", "etc/gone", "x", all())])).await;
    let removal = json!({"type": "remove_document", "id": "gone", "rollout": "r"});
    house.done(json!([open(), staged("d", "etc/d", "new"), removal, staged("fresh", "etc/fresh", "y")])).await;
    assert_eq!(house.shown("/v1/documents/d").await["rollout"], Value::Null, "a draft is in nobody's way");
    house.get("/v1/documents/fresh?staged=true").await.is_problem("a draft", 404, "unknown_entity", "id");
    house.done(json!([start()])).await;
    let content = async |path: &str| String::from_utf8(house.get(path).await.body).unwrap();
    let (is, becomes) = (house.shown("/v1/documents/d").await, house.shown("/v1/documents/d?staged=true").await);
    assert_eq!((&is["rollout"], &becomes["rollout"]), (&json!("r"), &json!("r")));
    assert_eq!((&is["digest"], &becomes["digest"]), (&json!(Digest::of(b"old")), &json!(Digest::of(b"new"))));
    assert_eq!(content("/v1/documents/d/content").await, "old");
    assert_eq!(content("/v1/documents/d/content?staged=true").await, "new");
    assert_eq!(house.shown("/v1/documents/fresh?staged=true").await["digest"], json!(Digest::of(b"y")));
    house.get("/v1/documents/fresh").await.is_problem("not there yet", 404, "unknown_entity", "id");
    house.get("/v1/documents/gone?staged=true").await.is_problem("removed", 404, "unknown_entity", "id");
    house.get("/v1/documents/d?staged=maybe").await.is_problem("no flag", 400, "invalid_parameter", "staged");
    // What no rollout changes is the same both ways.
    house.done(json!([put("still", "still", "z", all())])).await;
    assert_eq!(house.shown("/v1/documents/still?staged=true").await, house.shown("/v1/documents/still").await);
}

#[tokio::test]
async fn what_came_with_an_aborted_rollout_leaves_its_bundle() {
    let house = fleet().await;
    let assign = json!({"type": "assign_bundle", "id": "b", "members": ["document/fresh", "document/plain"]});
    let plain = put("plain", "plain", "x", all());
    house.done(json!([open(), staged("fresh", "etc/fresh", "y"), plain, start(), assign])).await;
    let members = async || house.shown("/v1/bundles/b").await["members"].clone();
    assert_eq!(members().await, json!(["document/fresh", "document/plain"]));
    house.done(json!([{"type": "abort_rollout", "id": "r"}])).await;
    assert_eq!(members().await, json!(["document/plain"]));
}

#[tokio::test]
async fn whoever_asks_about_a_node_or_takes_something_back_is_told_of_the_rollout() {
    let house = fleet().await;
    house.done(json!([put("d", "etc/d", "old", all())])).await;
    let before = house.position();
    let sent = house.done(json!([open(), staged("d", "etc/d", "new"), staged("e", "etc/e", "y"), start()])).await;
    assert_eq!(house.shown("/v1/why/nodes/n-3/etc/d").await["awaits"], "r");
    house.done(json!([put("plain", "plain", "x", all())])).await;
    assert_eq!(house.shown("/v1/why/nodes/n-3/plain").await["awaits"], Value::Null);
    let undone = house.revert(&json!({"command_id": sent["command_id"]})).await;
    undone.is_problem("a rollout is not undone", 409, "not_undoable", "command_id");
    let detail = undone.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("`abort_rollout` takes back what rollout/r changes"), "{detail}");
    let reverted = house.revert(&json!({"to": before.to_string()})).await.json();
    let left = |id: &str| json!({"entity": format!("document/{id}"), "why": "rolled_out"});
    assert_eq!(reverted["left"], json!([left("d"), left("e")]), "{reverted}");
    assert_eq!(house.shown("/v1/fleet").await["guard"], Value::Null);
    house.done(json!([{"type": "set_guard", "nodes_max": 3}])).await;
    assert_eq!(house.shown("/v1/fleet").await["guard"], 3);
    // What has ended can't be aborted any more.
    let aborted = house.done(json!([{"type": "abort_rollout", "id": "r"}])).await;
    for request in [sent, aborted] {
        let undone = house.revert(&json!({"command_id": request["command_id"]})).await;
        undone.is_problem("it has ended", 409, "not_undoable", "command_id");
        let detail = undone.json()["detail"].as_str().unwrap().to_owned();
        assert!(!detail.contains("abort_rollout"), "{detail}");
    }
}
