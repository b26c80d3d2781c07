//! Requests that come with the plan of a dry run, bundles, marks, and contents by their digests.

use axum::http::Method;
use schema::digest::Digest;
use serde_json::{Value, json};

use crate::ask::{ADMIN, AUDITOR, Answered, House, enrol, put, request};

impl House {
    /// A dry run of these commands, as the auditor.
    pub(crate) async fn dry_run(&self, commands: &Value) -> Answered {
        let bearer = format!("Bearer {AUDITOR}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let body = json!({"commands": commands}).to_string();
        self.send(request(Method::POST, "/v1/commands?dry_run=true", &headers, body)).await
    }

    /// Sends commands with a plan, and perhaps a key.
    pub(crate) async fn planned(&self, commands: &Value, plan: &str, key: Option<&str>) -> Answered {
        let tag = format!("\"{plan}\"");
        let headers: Vec<_> =
            [("if-match", tag.as_str())].into_iter().chain(key.map(|key| ("idempotency-key", key))).collect();
        self.post("/v1/commands", &headers, &json!({"commands": commands}).to_string()).await
    }

    /// Makes a dry run, and sends the commands with its plan.
    async fn as_shown(&self, commands: Value) -> Value {
        let plan = self.dry_run(&commands).await.json()["plan"].as_str().unwrap().to_owned();
        let answered = self.planned(&commands, &plan, None).await;
        assert_eq!(answered.status, 200, "{answered:?}");
        answered.json()
    }
}

fn assign(id: &str, members: &[&str]) -> Value {
    json!({"type": "assign_bundle", "id": id, "members": members})
}

#[tokio::test]
async fn a_dry_run_shows_what_becomes_of_every_file_and_its_plan_is_the_entity_tag() {
    let house = House::new();
    house
        .done(json!([enrol("n-1", json!({})), enrol("n-2", json!({})), put("a", "etc/a", "old", json!({"all": true}))]))
        .await;
    let commands = json!([
        put("a", "etc/a", "new", json!({"all": true})), put("b", "b", "x", json!({"nodes": ["n-2"]})),
        {"type": "retry_node", "id": "n-1"},
    ]);
    let shown = house.dry_run(&commands).await;
    let said = shown.json();
    assert_eq!(shown.header("etag"), format!("\"{}\"", said["plan"].as_str().unwrap()));
    assert_eq!((&said["permitted"], &said["base"]["position"], &said["more"]), (&json!(false), &json!(5), &json!(0)));
    let state = |content: &str| json!({"digest": Digest::of(content.as_bytes()), "mode": "644"});
    let changed = json!({"path": "etc/a", "before": state("old"), "after": state("new"), "document": "a"});
    assert_eq!(said["nodes"][0]["files"], json!([changed]));
    assert_eq!((&said["nodes"][0]["may_retry"], &said["nodes"][1]["may_retry"]), (&json!(true), &json!(false)));
    let added = json!({"path": "b", "before": null, "after": state("x"), "document": "b"});
    assert_eq!(said["nodes"][1]["files"], json!([added, changed]));
    let plan = said["plan"].as_str().unwrap();
    let answered = house.planned(&commands, plan, None).await;
    let kept = answered.json()["events"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&kept["type"], &kept["entity"]), (&json!("PlanKept"), &json!(format!("plan/{}", &plan[..32]))));
    let admin = house.post("/v1/commands?dry_run=true", &[], &json!({"commands": commands}).to_string()).await;
    assert_eq!(admin.json()["permitted"], true);
}

#[tokio::test]
async fn a_plan_that_would_come_out_otherwise_is_refused_and_nothing_is_written() {
    let house = House::new();
    house.done(json!([enrol("n-1", json!({}))])).await;
    let commands = json!([put("a", "a", "x", json!({"all": true}))]);
    let plan = house.dry_run(&commands).await.json()["plan"].as_str().unwrap().to_owned();
    // Another path of the same node is no matter.
    house.done(json!([put("b", "b", "y", json!({"all": true}))])).await;
    let again = house.dry_run(&commands).await.json();
    assert_eq!((again["plan"].as_str(), again["base"]["position"].as_u64()), (Some(&*plan), Some(4)));
    house.done(json!([enrol("n-2", json!({}))])).await;
    let before = house.position();
    house.planned(&commands, &plan, None).await.is_problem("another node", 412, "plan_changed", "If-Match");
    assert_eq!(house.position(), before);
    // What was appended under a key is answered again, although it would come out otherwise now.
    let plan = house.dry_run(&commands).await.json()["plan"].as_str().unwrap().to_owned();
    let first = house.planned(&commands, &plan, Some("k")).await.json();
    assert_eq!(house.planned(&commands, &plan, Some("k")).await.json(), first);
    house.planned(&commands, &plan, None).await.is_problem("once more", 412, "plan_changed", "If-Match");
    // A dry run with a plan tells whether it still comes out so.
    let once_more = |plan: Value| {
        let (tag, body) = (format!("\"{}\"", plan.as_str().unwrap()), json!({"commands": commands}).to_string());
        let house = &house;
        async move { house.post("/v1/commands?dry_run=true", &[("if-match", &tag)], &body).await }
    };
    once_more(json!(plan)).await.is_problem("a dry run", 412, "plan_changed", "If-Match");
    let shown = house.dry_run(&commands).await.json();
    assert_eq!(once_more(shown["plan"].clone()).await.json()["plan"], shown["plan"]);
    // What changes nothing keeps no plan.
    let nothing = house.as_shown(commands.clone()).await;
    assert_eq!(nothing["events"], json!([]));
    for wrong in ["*", "x", "\"x\""] {
        let body = json!({"commands": commands}).to_string();
        let answered = house.post("/v1/commands", &[("if-match", wrong)], &body).await;
        answered.is_problem(wrong, 400, "invalid_parameter", "If-Match");
    }
    let claim = json!([{"type": "claim_jobs", "runtime": "n-1", "limit": 1}]);
    assert_eq!(house.dry_run(&claim).await.json()["plan"], Value::Null);
    house.planned(&claim, &plan, None).await.is_problem("tokens", 422, "not_plannable", "If-Match");
}

#[tokio::test]
async fn a_bundle_has_what_it_is_assigned_and_removes_only_what_was_shown() {
    let house = House::new();
    let all = || json!({"all": true});
    house.done(json!([
        put("a", "a", "x", all()), put("b", "b", "x", all()), put("c", "c", "x", all()),
        {"type": "put_node", "id": "n-1", "labels": {"site": "lund"}}, {"type": "define_control", "id": "c-1", "title": "T"},
        assign("loki", &["document/a", "document/b", "node/n-1", "control/c-1"]),
    ])).await;
    let bundle = house.shown("/v1/bundles/loki").await;
    assert_eq!([&bundle["documents"], &bundle["nodes"], &bundle["definitions"]], [&json!(2), &json!(1), &json!(1)]);
    assert_eq!(house.shown("/v1/documents/a").await["bundle"], "loki");
    let owned = house.shown("/v1/documents?bundle=loki").await;
    let ids: Vec<_> = owned["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect();
    assert_eq!(ids, ["a", "b"]);
    let by_hand = house.done(json!([put("a", "a", "other", all()), put("c", "c", "other", all())])).await;
    assert_eq!((&by_hand["results"][0]["owned_by"], by_hand["results"][1].get("owned_by")), (&json!("loki"), None));
    // Without a plan nothing is removed.
    let less = json!([assign("loki", &["document/a"])]);
    let before = house.position();
    house.ask(less.clone()).await.is_problem("prune", 428, "plan_needed", "commands[0].members");
    assert_eq!(house.position(), before);
    assert_eq!(house.dry_run(&less).await.json()["prunes"], json!(["document/b", "control/c-1"]));
    let other = Digest::of(b"another plan").to_string();
    house.planned(&less, &other, None).await.is_problem("not as shown", 412, "plan_changed", "If-Match");
    house.as_shown(less).await;
    house.get("/v1/documents/b").await.is_problem("pruned", 404, "unknown_entity", "id");
    assert_eq!(house.shown("/v1/nodes/n-1").await["bundle"], Value::Null, "a node is only let go of");
    // What another bundle of the request takes up moves, and is not removed in between.
    let node = house.shown("/v1/nodes/n-1").await["desired"]["digest"].clone();
    house.done(json!([{"type": "assign_bundle", "id": "loki", "members": [], "empty": true}, assign("odin", &["document/a"])])).await;
    assert_eq!(house.shown("/v1/nodes/n-1").await["desired"]["digest"], node);
    assert_eq!(house.shown("/v1/documents/a").await["bundle"], "odin");
    let refusals = [
        (json!([assign("loki", &["document/a"])]), 409, "owned_elsewhere", "commands[0].members"),
        (json!([assign("loki", &["document/nowhere"])]), 404, "unknown_member", "commands[0].members"),
        (json!([assign("odin", &[])]), 409, "empty_bundle", "commands[0].members"),
        (json!([assign("odin", &["principal/ann"])]), 422, "invalid_value", "commands[0].members"),
        (json!([assign("odin", &["document/a", "document/a"])]), 422, "invalid_value", "commands[0].members"),
        (json!([assign("odin", &["document/a"]), put("z", "z", "", all())]), 422, "invalid_value", "commands[1].type"),
        (
            json!([assign("odin", &["document/a"]), assign("odin", &["document/a"])]),
            422,
            "invalid_value",
            "commands[1].id",
        ),
        (json!([{"type": "remove_bundle", "id": "nowhere"}]), 404, "unknown_entity", "commands[0].id"),
    ];
    for (commands, status, code, field) in refusals {
        house.ask(commands.clone()).await.is_problem(&commands.to_string(), status, code, field);
    }
    house
        .done(json!([{"type": "assign_bundle", "id": "loki", "members": ["document/a"], "take": true, "grow": true}]))
        .await;
    house.done(json!([{"type": "remove_bundle", "id": "loki"}])).await;
    assert_eq!(house.shown("/v1/documents/a").await["bundle"], Value::Null);
    house.get("/v1/bundles/loki").await.is_problem("ended", 404, "unknown_entity", "id");
    house.done(json!([{"type": "retire_node", "id": "n-1"}])).await;
    let back = json!([{"type": "put_node", "id": "n-1", "labels": {}}]);
    house.ask(back).await.is_problem("retired", 409, "node_retired", "commands[0].id");
}

#[tokio::test]
async fn a_mark_stands_for_a_position_wherever_one_is_asked_for() {
    let house = House::new();
    house.done(json!([enrol("n-1", json!({"a": "1"}))])).await;
    house.done(json!([{"type": "mark", "id": "run-1"}])).await;
    house.done(json!([{"type": "label_node", "id": "n-1", "labels": {"a": "2"}}])).await;
    assert_eq!(house.shown("/v1/marks/run-1").await["at_position"], 3);
    assert_eq!(house.shown("/v1/nodes/n-1?at=mark:run-1").await["labels"], json!({"a": "1"}));
    let differ = house.shown("/v1/diff/nodes/n-1?from=mark:run-1").await;
    assert_eq!((&differ["from"], &differ["to"]), (&json!(3), &json!(5)));
    let other =
        |position: u64, moves: bool| json!([{"type": "mark", "id": "run-1", "position": position, "move": moves}]);
    house.ask(other(2, false)).await.is_problem("immutable", 409, "mark_exists", "commands[0].position");
    house.ask(other(99, true)).await.is_problem("ahead", 404, "unknown_position", "commands[0].position");
    house.done(other(2, true)).await;
    house.get("/v1/nodes/n-1?at=mark:run-1").await.is_problem("not yet", 404, "unknown_entity", "id");
    house.get("/v1/nodes?at=mark:never").await.is_problem("never", 404, "unknown_entity", "at");
    house.get("/v1/nodes?at=mark:").await.is_problem("empty", 400, "invalid_parameter", "at");
}

#[tokio::test]
async fn content_that_the_log_holds_is_named_by_its_digest() {
    let house = House::new();
    house.done(json!([enrol("n-1", json!({})), put("a", "a", "{}", json!({"all": true}))])).await;
    let [known, unknown] = ["{}", "never sent"].map(|text| Digest::of(text.as_bytes()));
    let body = json!({"digests": [unknown, known, unknown]}).to_string();
    let missing = house.post("/v1/contents/missing", &[], &body).await;
    assert_eq!(missing.json(), json!({"missing": [unknown]}));
    let by_digest = |digest: Digest, media_type: &str| {
        json!([{"type": "put_document", "id": "b", "path": "b", "media_type": media_type, "content_digest": digest,
            "target": {"all": true}, "priority": 0}])
    };
    house.done(by_digest(known, "application/json")).await;
    assert_eq!(house.get("/v1/nodes/n-1/files/b").await.body, b"{}");
    let nowhere = house.ask(by_digest(unknown, "text/plain")).await;
    nowhere.is_problem("unknown", 404, "unknown_content", "commands[0].content_digest");
    house.done(json!([put("a", "a", "text", json!({"all": true}))])).await;
    let no_json = house.ask(by_digest(Digest::of(b"text"), "application/json")).await;
    no_json.is_problem("no JSON", 422, "not_json", "commands[0].content");
    let wrong = [json!({}), json!({"digests": ["x"]}), json!({"digests": [], "more": 1})];
    for body in wrong {
        let answered = house.post("/v1/contents/missing", &[], &body.to_string()).await;
        assert_eq!(answered.status, 422, "{body}");
    }
    let auditor = format!("Bearer {AUDITOR}");
    for (token, status) in [(auditor.as_str(), 200), (&format!("Bearer {ADMIN}"), 200), ("Bearer x", 401)] {
        let headers = [("authorization", token), ("content-type", "application/json")];
        let asked = request(Method::POST, "/v1/contents/missing", &headers, r#"{"digests": []}"#);
        assert_eq!(house.send(asked).await.status, status);
    }
}
