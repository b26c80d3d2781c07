//! What readers see of controls, components, assessments, attestations, jobs and coverage, and what claimers get.

use axum::http::StatusCode;
use schema::digest::Digest;
use schema::id::JobId;
use schema::limit::EVIDENCE_BYTES_MAX;
use serde_json::{Value, json};

use crate::ask::{House, enrol};

fn control(id: &str) -> Value {
    json!({"type": "define_control", "id": id, "title": format!("Control {id}"), "class": "SP800-53",
        "statement": "Keep out.", "parameters": {"period": "yearly", "depth": "1"}, "labels": {"family": "ac"}})
}

fn component(id: &str, tier: &str) -> Value {
    json!({"type": "define_component", "id": id, "title": id, "kind": "software", "controls": ["ac-1"],
        "properties": {"version": "15"}, "labels": {"tier": tier}})
}

fn assessment() -> Value {
    json!({"type": "define_assessment", "id": "as", "title": "Databases", "control": "ac-1",
        "component_selector": {"match_labels": {"tier": "data"}}, "schedule": "0 * * * *"})
}

fn attestation(id: &str) -> Value {
    json!({"type": "define_attestation", "id": id, "assessment": "as", "title": "No open port",
        "provider": {"name": "probe", "image": "registry/probe", "tag": "1", "configuration": {"port": "5432"}},
        "selector": {"query": "port=5432"}, "parameters": {"depth": "2"},
        "runtime_selector": {"match_labels": {"runtime": "yes"}}})
}

fn job(attestation: &str) -> String {
    JobId::derived(&attestation.parse().unwrap()).to_string()
}

/// Two controls, of which one is assessed; two runtimes, of which both fit.
async fn furnished() -> House {
    let house = House::new();
    let nodes = ["n-1", "n-2"].map(|id| enrol(id, json!({"runtime": "yes"})));
    house.done(json!(nodes)).await;
    house.done(json!([control("ac-1"), control("ac-2"), component("db", "data"), component("web", "front")])).await;
    let body = json!({"reason": "the audit", "commands": [assessment(), attestation("at-1"), attestation("at-2")]});
    assert_eq!(house.post("/v1/commands", &[], &body.to_string()).await.status, StatusCode::OK);
    house
}

async fn claim(house: &House, runtime: &str, limit: u32) -> Vec<Value> {
    let answer = house.done(json!([{"type": "claim_jobs", "runtime": runtime, "limit": limit}])).await;
    answer["results"][0]["jobs"].as_array().unwrap().clone()
}

#[tokio::test]
async fn what_was_defined_is_shown_as_it_was_defined() {
    let house = furnished().await;
    for (uri, command) in [
        ("/v1/controls/ac-1", control("ac-1")),
        ("/v1/components/db", component("db", "data")),
        ("/v1/assessments/as", assessment()),
        ("/v1/attestations/at-1", attestation("at-1")),
    ] {
        let shown = house.shown(uri).await;
        for (name, member) in command.as_object().unwrap().iter().filter(|(name, _)| *name != "type") {
            match member.as_object() {
                Some(members) => {
                    members.iter().for_each(|(inner, value)| assert_eq!(shown[name][inner], *value, "{uri} {name}"));
                }
                None => assert_eq!(shown[name], *member, "{uri} {name}"),
            }
        }
        assert_eq!(shown["version"], 1, "{uri}");
    }
    for (list, ids) in [
        ("controls", vec!["ac-1", "ac-2"]),
        ("components", vec!["db", "web"]),
        ("assessments", vec!["as"]),
        ("attestations", vec!["at-1", "at-2"]),
    ] {
        let shown = house.shown(&format!("/v1/{list}?limit=1000")).await;
        let found: Vec<&str> =
            shown["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
        assert_eq!((found, &shown["next"]), (ids, &Value::Null), "{list}");
        assert_eq!(house.shown(&format!("/v1/{list}?at=3")).await["items"], json!([]), "{list} once were not there");
    }
    assert_eq!(house.shown("/v1/jobs?limit=1").await["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_job_shows_its_spec_and_who_made_it_so_when_and_why() {
    let house = furnished().await;
    let shown = house.shown(&format!("/v1/jobs/{}", job("at-1"))).await;
    let spec = &shown["spec"];
    assert_eq!(spec["id"], shown["id"]);
    assert_eq!((&spec["control-id"], &spec["assessment-plan-id"]), (&json!("ac-1"), &json!("as")));
    assert_eq!((&spec["component-ids"], &spec["components"][0]["title"]), (&json!(["db"]), &json!("db")));
    assert_eq!(spec["parameters"], json!({"period": "yearly", "depth": "2"}));
    let task = &spec["tasks"][0];
    assert_eq!((&task["id"], &task["schedule"]), (&json!("as"), &json!("0 * * * *")));
    let activity = &task["activities"][0];
    assert_eq!((&activity["id"], &activity["provider"]["name"]), (&json!("at-1"), &json!("probe")));
    assert_eq!(shown["spec_digest"], Digest::of(spec.to_string().as_bytes()).to_string());
    assert_eq!((&shown["claim"], &shown["completed"]), (&Value::Null, &Value::Null));
    let cause = &shown["cause"];
    assert_eq!((&cause["actor"], &cause["reason"]), (&json!("ann"), &json!("the audit")));
    assert_eq!((&cause["entity"], &cause["type"]), (&json!("attestation/at-1"), &json!("AttestationDefined")));
    assert!(cause["at"].is_string() && cause["command_id"].is_string());

    house.done(json!([component("web", "data")])).await;
    let joined = house.shown(&format!("/v1/jobs/{}", job("at-1"))).await;
    assert_eq!(joined["spec"]["component-ids"], json!(["db", "web"]), "who gains the label joins");
    assert_eq!(joined["cause"]["entity"], "component/web");
    assert_eq!(joined["sources"].as_array().unwrap().len(), 5);
    assert_ne!(joined["spec_digest"], shown["spec_digest"]);
}

#[tokio::test]
async fn claims_are_answered_shown_and_ended() {
    let house = furnished().await;
    let first = claim(&house, "n-1", 1).await;
    let second = claim(&house, "n-2", 5).await;
    assert_eq!((first.len(), second.len()), (1, 1), "a job has one holder");
    assert_ne!(first[0]["id"], second[0]["id"]);
    assert!(claim(&house, "n-1", 5).await.is_empty(), "nothing is left");
    let (id, digest) = (first[0]["id"].as_str().unwrap(), first[0]["spec_digest"].as_str().unwrap());
    assert_eq!(digest, Digest::of(first[0]["spec"].to_string().as_bytes()).to_string());
    assert_eq!(first[0]["lease_s"], 300);

    let node = house.shown("/v1/nodes/n-1").await;
    let entry = &node["desired"]["entries"][0];
    assert_eq!(
        (&entry["path"], &entry["kind"], &entry["digest"]),
        (&json!(format!("jobs/{id}.json")), &json!("job"), &json!(digest))
    );
    assert_eq!(entry["source"]["entity"].as_str().unwrap().split('/').next(), Some("attestation"));
    let shown = house.shown(&format!("/v1/jobs/{id}")).await;
    assert_eq!(shown["claim"]["runtime"], "n-1");
    assert!(!shown.to_string().contains(first[0]["token"].as_str().unwrap()), "the proof is the holder's");

    let renewed = house.done(json!([{"type": "renew_claims", "runtime": "n-1"}])).await;
    let kept = &renewed["results"][0]["jobs"][0];
    assert_eq!((&kept["id"], &kept["token"], &kept["spec"]), (&first[0]["id"], &first[0]["token"], &Value::Null));

    let complete = |token: &Value, digest: &str, evidence: usize| {
        json!([{"type": "complete_job", "job": id, "token": token, "spec_digest": digest, "outcome": "pass",
            "evidence": "x".repeat(evidence)}])
    };
    let token = &first[0]["token"];
    for (status, code, field, commands) in [
        (409, "claim_lost", "commands[0].token", complete(&second[0]["token"], digest, 0)),
        (409, "claim_lost", "commands[0].token", complete(&json!("0".repeat(64)), digest, 0)),
        (409, "spec_changed", "commands[0].spec_digest", complete(token, &"0".repeat(64), 0)),
        (422, "too_large", "commands[0].evidence", complete(token, digest, EVIDENCE_BYTES_MAX + 1)),
    ] {
        let head = house.position();
        house.ask(commands).await.is_problem(code, status, code, field);
        assert_eq!(house.position(), head, "nothing is written");
    }
    house.done(complete(token, digest, EVIDENCE_BYTES_MAX)).await;
    let ran = house.shown(&format!("/v1/jobs/{id}")).await;
    assert_eq!((&ran["completed"]["outcome"], &ran["claim"]["runtime"]), (&json!("pass"), &json!("n-1")));

    house.done(json!([control("ac-2"), control("ac-1")])).await;
    house.done(complete(token, digest, 1)).await;
    house.done(json!([component("web", "data")])).await;
    house.ask(complete(token, digest, 2)).await.is_problem("changed", 409, "spec_changed", "commands[0].spec_digest");

    house.done(json!([{"type": "retire_node", "id": "n-1"}])).await;
    house.ask(complete(token, digest, 3)).await.is_problem("retired", 409, "claim_lost", "commands[0].token");
    assert_eq!(claim(&house, "n-2", 5).await[0]["id"], id, "a retired node's jobs are free at once");
    house.done(json!([{"type": "release_jobs", "runtime": "n-2", "jobs": [id]}])).await;
    let free = house.shown(&format!("/v1/jobs/{id}")).await;
    assert_eq!((&free["claim"], &free["waiting_since"]), (&Value::Null, &json!(house.position())));
}

#[tokio::test]
async fn a_claim_under_a_key_gives_the_same_jobs_and_tokens_again() {
    let house = furnished().await;
    let body = json!({"commands": [{"type": "claim_jobs", "runtime": "n-1", "limit": 1}]}).to_string();
    let first = house.post("/v1/commands", &[("idempotency-key", "k")], &body).await.json();
    let again = house.post("/v1/commands", &[("idempotency-key", "k")], &body).await.json();
    assert_eq!(first, again);
    assert_eq!(first["results"][0]["jobs"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_does_not_follow_is_refused_by_the_name_of_what_is_wrong() {
    let house = furnished().await;
    house.done(json!([enrol("gone", json!({}))])).await;
    house.done(json!([{"type": "retire_node", "id": "gone"}])).await;
    let with = |mut base: Value, name: &str, member: Value| {
        base[name] = member;
        base
    };
    let listed = with(assessment(), "component_selector", Value::Null);
    for (status, code, field, says, command) in [
        (404, "unknown_entity", "controls", "control/x", with(component("c", "t"), "controls", json!(["x"]))),
        (404, "unknown_entity", "control", "control/x", with(assessment(), "control", json!("x"))),
        (404, "unknown_entity", "components", "component/x", with(listed, "components", json!(["db", "x"]))),
        (404, "unknown_entity", "assessment", "assessment/x", with(attestation("a"), "assessment", json!("x"))),
        (404, "unknown_entity", "id", "control/x", json!({"type": "remove_control", "id": "x"})),
        (
            409,
            "in_use",
            "id",
            "component/db, component/web, assessment/as",
            json!({"type": "remove_control", "id": "ac-1"}),
        ),
        (409, "in_use", "id", "attestation/at-1, attestation/at-2", json!({"type": "remove_assessment", "id": "as"})),
        (422, "invalid_schedule", "schedule", "five fields", with(assessment(), "schedule", json!("@daily"))),
        (422, "invalid_value", "limit", "1 to 1000", json!({"type": "claim_jobs", "runtime": "n-1", "limit": 0})),
        (422, "invalid_value", "limit", "1 to 1000", json!({"type": "claim_jobs", "runtime": "n-1", "limit": 1001})),
        (404, "unknown_entity", "runtime", "node/x", json!({"type": "claim_jobs", "runtime": "x", "limit": 1})),
        (409, "node_retired", "runtime", "gone", json!({"type": "claim_jobs", "runtime": "gone", "limit": 1})),
        (404, "unknown_entity", "runtime", "node/x", json!({"type": "renew_claims", "runtime": "x"})),
        (404, "unknown_entity", "jobs", "job/x", json!({"type": "release_jobs", "runtime": "n-1", "jobs": ["x"]})),
        (
            404,
            "unknown_entity",
            "job",
            "job/x",
            json!({"type": "complete_job", "job": "x", "token": "0".repeat(64),
            "spec_digest": "0".repeat(64), "outcome": "pass", "evidence": ""}),
        ),
        (422, "unknown_type", "type", "expire_claim", json!({"type": "expire_claim", "job": "x"})),
    ] {
        let head = house.position();
        let answered = house.ask(json!([command])).await;
        answered.is_problem(&command.to_string(), status, code, &format!("commands[0].{field}"));
        let detail = answered.json()["detail"].to_string();
        assert!(detail.contains(says), "{detail}");
        assert_eq!(house.position(), head, "nothing is written");
    }
    // Its last user takes a component along.
    house.done(json!([{"type": "remove_component", "id": "web"}])).await;
}

#[tokio::test]
async fn coverage_says_what_covers_a_control_and_what_nothing_covers() {
    let house = furnished().await;
    let before = house.shown("/v1/coverage").await;
    assert_eq!(before["uncovered"], json!(["ac-1", "ac-2"]));
    claim(&house, "n-1", 1).await;
    let shown = house.shown("/v1/coverage").await;
    let first = &shown["items"][0];
    assert_eq!((&first["control"], &first["components"]), (&json!("ac-1"), &json!(["db", "web"])));
    assert_eq!((&first["assessments"], &first["jobs"], &first["covered"]), (&json!(["as"]), &json!(2), &json!(true)));
    assert_eq!(first["claims"][0]["runtime"], "n-1");
    assert_eq!(shown["items"][1]["assessments"], json!([]));
    assert_eq!(shown["uncovered"], json!(["ac-2"]));
    assert_eq!(shown["counts"], json!({"controls": 2, "with_components": 1, "with_assessments": 1, "with_claims": 1}));
    let page = house.shown("/v1/coverage?limit=1").await;
    assert_eq!((page["items"].as_array().unwrap().len(), &page["uncovered"]), (1, &json!(["ac-2"])));
    assert!(page["next"].is_string());
}
