//! What nodes propose: listed, reviewed, accepted, rejected and explained over HTTP.

use schema::command::{Command, Content, Propose};
use schema::digest::Digest;
use schema::entity::Actor;
use schema::id::{NodeId, ProposalId, ProposalUuid};
use schema::proposal::ProposalBase;
use schema::request::Request;
use serde_json::{Value, json};

use crate::ask::{ADMIN, AUDITOR, House, enrol, put, request};

/// A proposal of a node, as the reconciler sends it; gives its id.
fn propose(house: &House, node: &str, number: u128, path: &str, (base, content): (Option<&str>, &str)) -> String {
    let node: NodeId = node.parse().unwrap();
    let uuid = ProposalUuid::from(uuid::Uuid::from_u128(number));
    let command = Command::Propose(Propose {
        node: node.clone(),
        uuid,
        path: path.parse().unwrap(),
        media_type: "text/plain".parse().unwrap(),
        content: Content::new(content.as_bytes().to_vec()).unwrap(),
        base: ProposalBase { position: 4.into(), digest: base.map(|base| Digest::of(base.as_bytes())) },
    });
    let request = Request { reason: Some(format!("lamp {number}")), ..Request::of([command]) };
    house.log.append(&request, &Actor::Node(node.clone()), None).unwrap();
    ProposalId::derived(&node, uuid).to_string()
}

/// Two nodes and a document that both have; positions 3 to 5.
async fn furnished() -> House {
    let house = House::new();
    let motd = put("motd", "etc/motd", "one\ntwo\n", json!({"all": true}));
    house.done(json!([enrol("n-1", json!({})), enrol("n-2", json!({})), motd])).await;
    house
}

fn accept(id: &str, more: Value) -> Value {
    let mut command = json!({"type": "accept_proposal", "id": id});
    for (name, value) in more.as_object().unwrap() {
        command[name] = value.clone();
    }
    command
}

async fn ids(house: &House, query: &str) -> Vec<String> {
    let page = house.shown(&format!("/v1/proposals{query}")).await;
    let items = page["items"].as_array().unwrap().iter();
    items.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_proposal_is_reviewed_accepted_and_explained() {
    let house = furnished().await;
    let id = propose(&house, "n-1", 1, "etc/motd", (Some("one\ntwo\n"), "one\n2\n")); // 6
    let listed = house.shown("/v1/proposals").await;
    let item = &listed["items"][0];
    let expected = json!({"id": id, "node": "n-1", "path": "etc/motd", "state": "open", "stale": false,
        "reason": "lamp 1", "at": item["at"], "position": 6});
    assert_eq!((item, &listed["next"]), (&expected, &Value::Null));
    let shown = house.shown(&format!("/v1/proposals/{id}")).await;
    assert_eq!(shown["unified"], "--- a/etc/motd\n+++ b/etc/motd\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n");
    assert_eq!((&shown["before"]["text"], &shown["after"]["text"]), (&json!("one\ntwo\n"), &json!("one\n2\n")));
    assert_eq!((&shown["now"], &shown["decision"]), (&json!(Digest::of(b"one\ntwo\n")), &Value::Null));
    let dry = json!({"commands": [accept(&id, json!({}))]}).to_string();
    let dry = house.post("/v1/commands?dry_run=true", &[], &dry).await;
    assert_eq!(dry.json()["desired"][0]["node"], "n-1", "it can be tried first");
    let body = json!({"reason": "measured twice", "commands": [accept(&id, json!({}))]}).to_string();
    let done = house.post("/v1/commands", &[], &body).await.json(); // 7, 8
    assert_eq!(done["events"][0]["type"], "ProposalAccepted");
    let document = done["events"][1]["entity"].as_str().unwrap().strip_prefix("document/").unwrap().to_owned();
    assert_eq!(done["warnings"], json!([]));
    let why = house.shown("/v1/why/nodes/n-1/etc/motd").await;
    let because: Vec<(&str, u64)> = why["because"]
        .as_array()
        .unwrap()
        .iter()
        .map(|reason| (reason["part"].as_str().unwrap(), reason["position"].as_u64().unwrap()))
        .collect();
    assert_eq!(because, [("put", 8), ("accepted", 7), ("proposed", 6), ("enrolled", 3), ("overrode", 5)]);
    assert_eq!((&why["because"][1]["actor"], &why["because"][2]["actor"]), (&json!("ann"), &json!("node/n-1")));
    let shown = house.shown(&format!("/v1/proposals/{id}")).await;
    assert_eq!((&shown["state"], &shown["document"]), (&json!("accepted"), &json!(document)));
    let decision = &shown["decision"];
    assert_eq!(
        (&decision["by"], &decision["reason"], &decision["position"]),
        (&json!("ann"), &json!("measured twice"), &json!(7))
    );
    assert!(shown["unified"].as_str().unwrap().contains("-two\n+2\n"), "what it changed: {shown}");
    let content = house.get("/v1/nodes/n-1/files/etc/motd").await;
    assert_eq!(content.body, b"one\n2\n");
    assert_eq!(house.get("/v1/nodes/n-2/files/etc/motd").await.body, b"one\ntwo\n", "no shared document has changed");
    let view = house.shown(&format!("/v1/documents/{document}")).await;
    assert_eq!((&view["proposal"], &view["priority"]), (&json!(id), &json!(1000)));
    house.ask(json!([accept(&id, json!({}))])).await.is_problem("again", 409, "proposal_ended", "commands[0].id");
}

#[tokio::test]
async fn a_stale_proposal_is_shown_as_such_and_lands_only_if_a_person_says_so() {
    let house = furnished().await;
    let id = propose(&house, "n-1", 1, "etc/motd", (Some("one\ntwo\n"), "one\n2\n")); // 6
    house.done(json!([put("motd", "etc/motd", "another\n", json!({"all": true}))])).await;
    assert_eq!(house.shown("/v1/proposals").await["items"][0]["stale"], true);
    let refused = house.ask(json!([accept(&id, json!({}))])).await;
    refused.is_problem("stale", 409, "proposal_stale", "commands[0].id");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    for digest in ["one\ntwo\n", "another\n", "one\n2\n"].map(|text| Digest::of(text.as_bytes())) {
        assert!(detail.contains(&digest.short()), "{detail}");
    }
    let shown = house.shown(&format!("/v1/proposals/{id}")).await;
    assert_eq!((&shown["state"], &shown["before"]["text"]), (&json!("open"), &json!("another\n")));
    assert_eq!(shown["base"]["digest"], json!(Digest::of(b"one\ntwo\n")));
    let done = house.done(json!([accept(&id, json!({"anyway": true, "priority": -1}))])).await;
    assert_eq!(done["warnings"][0]["code"], "proposal_overridden");
    let past = house.shown(&format!("/v1/proposals/{id}?at=6")).await;
    assert_eq!((&past["state"], &past["stale"], &past["decision"]), (&json!("open"), &json!(false), &Value::Null));
}

#[tokio::test]
async fn proposals_are_listed_by_state_and_node_page_by_page_with_their_reasons() {
    let house = furnished().await;
    let mut all = Vec::new();
    for number in 1..=5 {
        all.push(propose(
            &house,
            if number % 2 == 0 { "n-2" } else { "n-1" },
            number,
            &format!("p{number}"),
            (None, "x"),
        ));
    }
    let rejected = propose(&house, "n-2", 6, "etc/motd", (None, "x"));
    all.push(rejected.clone());
    house.done(json!([{"type": "reject_proposal", "id": all[0], "reason": "not now"}])).await;
    assert_eq!(ids(&house, "").await, all, "the oldest first");
    assert_eq!(ids(&house, "?node=n-2").await, [all[1].clone(), all[3].clone(), all[5].clone()]);
    assert_eq!(ids(&house, "?state=open&node=n-1").await, [all[2].clone(), all[4].clone()]);
    assert_eq!(ids(&house, "?state=accepted").await, Vec::<String>::new());
    let first = house.shown("/v1/proposals?limit=4").await;
    assert_eq!(first["items"].as_array().unwrap().len(), 4);
    assert_eq!(first["items"][3]["reason"], "lamp 4");
    assert_eq!(ids(&house, &format!("?limit=4&cursor={}", first["next"].as_str().unwrap())).await, all[4..]);
    let listed = house.shown("/v1/proposals?state=rejected").await;
    assert_eq!((&listed["items"][0]["code"], &listed["items"][1]["code"]), (&Value::Null, &json!("proposal_stale")));
    let of = |id: String| format!("/v1/proposals/{id}");
    let by_a_person = house.shown(&of(all[0].clone())).await["decision"].clone();
    assert_eq!((&by_a_person["by"], &by_a_person["reason"]), (&json!("ann"), &json!("not now")));
    let by_a_rule = house.shown(&of(rejected)).await;
    assert_eq!((&by_a_rule["decision"]["by"], &by_a_rule["decision"]["reason"]), (&json!("system"), &Value::Null));
    assert_eq!(by_a_rule["before"], Value::Null, "the node said that it had no file");
}

#[tokio::test]
async fn an_auditor_reads_proposals_and_decides_none() {
    let house = furnished().await;
    let id = propose(&house, "n-1", 1, "p", (None, "x"));
    let body = json!({"commands": [accept(&id, json!({}))]}).to_string();
    let bearer = |token: &str| format!("Bearer {token}");
    for (token, status) in [(AUDITOR, 403), (ADMIN, 200)] {
        let headers = [("authorization", bearer(token)), ("content-type", "application/json".to_owned())];
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answered = house.send(request(axum::http::Method::POST, "/v1/commands", &headers, body.clone())).await;
        assert_eq!(answered.status.as_u16(), status, "{answered}");
    }
}

#[tokio::test]
async fn metrics_count_what_waits_and_how_long() {
    let house = furnished().await;
    let id = propose(&house, "n-1", 1, "p", (None, "x"));
    let text = |answered: crate::ask::Answered| String::from_utf8(answered.body).unwrap();
    assert!(text(house.get("/metrics").await).contains("headwater_proposals_open 1.0\n"));
    house.done(json!([{"type": "reject_proposal", "id": id, "reason": "no"}])).await;
    let told = text(house.get("/metrics").await);
    assert!(
        told.contains("headwater_proposals_open 0.0\n") && told.contains("headwater_proposals_oldest_seconds 0.0\n")
    );
}
