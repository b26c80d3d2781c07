//! Why it is so, what followed, and how it once was: what an auditor asks.

use axum::http::{Method, StatusCode};
use schema::command::Command;
use schema::digest::Digest;
use schema::entity::Actor;
use schema::id::JobId;
use schema::report::{RecordRef, ReportSummary};
use schema::request::Request;
use serde_json::{Value, json};

use crate::ask::{AUDITOR, House, enrol, put, request};

/// A house in which something of everything happened; positions are those of a log that began with two principals.
async fn furnished() -> House {
    let house = House::new();
    let all = json!({"all": true});
    house.done(json!([enrol("n-1", json!({"ring": "0"})), enrol("n-2", json!({}))])).await; // 3, 4
    house.done(json!([put("base", "etc/motd", "base", all)])).await; // 5
    let ringed = json!({"type": "put_document", "id": "ringed", "path": "etc/motd", "media_type": "text/plain",
        "content": "ringed", "priority": 1, "target": {"match_labels": {"ring": "0"}}});
    let body = json!({"reason": "ring 0 first", "commands": [ringed]}).to_string();
    assert_eq!(house.post("/v1/commands", &[], &body).await.status, StatusCode::OK); // 6
    house
        .done(json!([
            {"type": "define_control", "id": "c", "title": "c"},
            {"type": "define_assessment", "id": "as", "title": "as", "control": "c", "component_selector": {},
                "schedule": "0 * * * *"},
            {"type": "define_attestation", "id": "at", "assessment": "as", "title": "at", "provider": {"name": "p"}},
        ]))
        .await; // 7, 8, 9
    house.done(json!([{"type": "claim_jobs", "runtime": "n-2", "limit": 1}])).await; // 10
    house
}

fn job() -> JobId {
    JobId::derived(&"at".parse().unwrap())
}

/// Each reason as its part and position.
fn because(why: &Value) -> Vec<(&str, u64)> {
    let part = |reason: &'static str, value: &Value| value[reason].as_u64().unwrap();
    let reasons = why["because"].as_array().unwrap().iter();
    reasons.map(|reason| (reason["part"].as_str().unwrap(), part("position", reason))).collect()
}

/// The request that an event belongs to.
async fn command(house: &House, position: u64) -> String {
    let page = house.shown(&format!("/v1/events?after={}&limit=1", position - 1)).await;
    page["items"][0]["command_id"].as_str().unwrap().to_string()
}

#[tokio::test]
async fn a_file_is_explained_by_events_with_their_actors_and_reasons() {
    let house = furnished().await;
    let why = house.shown("/v1/why/nodes/n-1/etc/motd").await;
    assert_eq!(because(&why), [("put", 6), ("enrolled", 3), ("overrode", 5)]);
    assert_eq!((&why["node"], &why["path"], &why["more"]), (&json!("n-1"), &json!("etc/motd"), &json!(0)));
    let found = json!({"kind": "document", "digest": Digest::of(b"ringed"), "size": 6,
        "source": {"entity": "document/ringed", "version": 1, "position": 6}, "mode": "644"});
    assert_eq!(why["found"], found);
    let put = &why["because"][0];
    assert_eq!((&put["actor"], &put["reason"]), (&json!("ann"), &json!("ring 0 first")));
    assert_eq!((&put["type"], &put["command_id"]), (&json!("DocumentPut"), &json!(command(&house, 6).await)));

    house.done(json!([{"type": "label_node", "id": "n-1", "labels": {"ring": "1"}}])).await; // 11
    let why = house.shown("/v1/why/nodes/n-1/etc/motd").await;
    assert_eq!(because(&why), [("put", 5), ("enrolled", 3)], "what is for all follows from no label");
    house.done(json!([{"type": "remove_document", "id": "base"}])).await; // 12
    let why = house.get("/v1/why/nodes/n-1/etc/motd").await;
    assert_eq!((&why.json()["found"], why.header("headwater-position")), (&Value::Null, "12"));
    assert_eq!(because(&why.json()), [("left", 12), ("unfit", 6), ("labelled", 11)]);
    let then = house.get("/v1/why/nodes/n-1/etc/motd?at=6").await;
    assert_eq!((because(&then.json())[0], then.header("headwater-position")), (("put", 6), "6"));
    house.get("/v1/why/nodes/n-1/etc/motd?at=4").await.is_problem("before it", 404, "unknown_file", "path");
}

#[tokio::test]
async fn a_job_is_explained_to_whom_has_it_and_to_whom_has_not() {
    let house = furnished().await;
    let job = job();
    let why = house.shown(&format!("/v1/why/jobs/{job}")).await;
    assert_eq!(
        because(&why),
        [("attestation", 9), ("assessment", 8), ("control", 7), ("claimed", 10), ("labelled", 4)]
    );
    assert_eq!((&why["job"], &why["found"]["kind"]), (&json!(job), &json!("job")));
    assert_eq!(why["found"]["digest"], house.shown(&format!("/v1/jobs/{job}")).await["spec_digest"]);
    let held = house.shown(&format!("/v1/why/nodes/n-2/jobs/{job}.json")).await;
    assert_eq!((&held["found"], &held["because"]), (&why["found"], &why["because"]));
    let not = house.shown(&format!("/v1/why/nodes/n-1/jobs/{job}.json")).await;
    assert_eq!((&not["found"], because(&not)), (&Value::Null, vec![("claimed", 10)]));
    house.done(json!([{"type": "remove_attestation", "id": "at"}])).await;
    let gone = house.shown(&format!("/v1/why/jobs/{job}")).await;
    assert_eq!((&gone["found"], because(&gone)), (&Value::Null, vec![("removed", 11)]));
}

#[tokio::test]
async fn a_request_is_told_by_what_it_changed() {
    let house = furnished().await;
    let digest = async |node: &str, at: u64| {
        house.shown(&format!("/v1/nodes/{node}?at={at}")).await["desired"]["digest"].clone()
    };
    let ringed = house.shown(&format!("/v1/impact/{}", command(&house, 6).await)).await;
    let turned = json!([{"node": "n-1", "before": digest("n-1", 5).await, "after": digest("n-1", 6).await}]);
    assert_eq!((&ringed["nodes"], &ringed["jobs"], &ringed["unchanged"]), (&turned, &json!([]), &json!([])));
    assert_eq!((&ringed["actor"], &ringed["reason"]), (&json!("ann"), &json!("ring 0 first")));
    let event = json!([{"position": 6, "type": "DocumentPut", "entity": "document/ringed", "version": 1}]);
    assert_eq!((&ringed["events"], &ringed["position"]), (&event, &json!(6)));

    let defined = house.shown(&format!("/v1/impact/{}", command(&house, 8).await)).await;
    let spec = house.shown(&format!("/v1/jobs/{}", job())).await["spec_digest"].clone();
    assert_eq!(defined["jobs"], json!([{"job": job(), "before": null, "after": spec}]));
    assert_eq!((&defined["nodes"], defined["events"].as_array().map(Vec::len)), (&json!([]), Some(3)));

    house
        .done(json!([{"type": "retry_node", "id": "n-2"}, put("base", "etc/motd", "base!", json!({"all": true}))]))
        .await;
    let again = house.shown(&format!("/v1/impact/{}", command(&house, 12).await)).await;
    let turned = json!([{"node": "n-2", "before": digest("n-2", 10).await, "after": digest("n-2", 12).await}]);
    assert_eq!((&again["nodes"], &again["unchanged"]), (&turned, &json!(["n-1"])), "below the winner nothing changes");
    let late = format!("/v1/impact/{}?at=10", command(&house, 12).await);
    house.get(&late).await.is_problem("not yet", 404, "unknown_command", "command_id");
}

#[tokio::test]
async fn what_nobody_knows_can_not_be_explained() {
    let house = furnished().await;
    for (status, code, field, uri) in [
        (404, "unknown_entity", "id", "/v1/why/nodes/nobody/etc/motd"),
        (404, "unknown_file", "path", "/v1/why/nodes/n-1/etc/passwd"),
        (404, "unknown_file", "path", "/v1/why/nodes/n-1/etc//motd"),
        (404, "unknown_file", "path", "/v1/why/nodes/n-1/jobs/nothing.json"),
        (404, "unknown_file", "path", "/v1/why/nodes/n-1/jobs/nothing"),
        (404, "unknown_entity", "id", "/v1/why/jobs/nothing"),
        (400, "invalid_parameter", "id", "/v1/why/jobs/a.b"),
        (400, "unknown_parameter", "limit", "/v1/why/jobs/nothing?limit=1"),
        (404, "unknown_command", "command_id", "/v1/impact/0198b0a2-0000-7000-8000-000000000000"),
        (400, "invalid_parameter", "command_id", "/v1/impact/first"),
        (404, "at_in_the_future", "at", "/v1/impact/0198b0a2-0000-7000-8000-000000000000?at=900"),
    ] {
        house.get(uri).await.is_problem(uri, status, code, field);
    }
    let answered = house.send(request(Method::GET, "/v1/why/jobs/x", &[], "")).await;
    assert_eq!(answered.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn everything_that_the_log_knows_is_shown_as_it_was() {
    let house = furnished().await;
    let (job, head) = (job(), house.position());
    for (uri, there_since) in [
        ("/v1/documents/base", 5),
        ("/v1/documents/base/content", 5),
        ("/v1/documents/base/versions", 5),
        ("/v1/nodes/n-1", 4),
        ("/v1/nodes/n-1/files/etc/motd", 5),
        ("/v1/controls/c", 9),
        ("/v1/assessments/as", 9),
        ("/v1/attestations/at", 9),
        (&format!("/v1/jobs/{job}"), 9),
        (&format!("/v1/nodes/n-2/files/jobs/{job}.json"), 10),
        (&format!("/v1/why/jobs/{job}"), 9),
        ("/v1/why/nodes/n-1/etc/motd", 5),
        ("/v1/principals/otto", 2),
    ] {
        for at in 0..=head {
            let status = house.get(&format!("{uri}?at={at}")).await.status;
            // A position inside a request means its end.
            let asked =
                [(3, 4), (7, 9), (8, 9)].into_iter().find(|(inside, _)| *inside == at).map_or(at, |(_, end)| end);
            assert_eq!(status == StatusCode::OK, asked >= there_since, "{uri} at {at}: {status}");
        }
    }
    for list in [
        "documents",
        "nodes",
        "controls",
        "components",
        "assessments",
        "attestations",
        "jobs",
        "coverage",
        "principals",
        "events",
    ] {
        let now = house.get(&format!("/v1/{list}?at={head}")).await;
        assert_eq!(now.body, house.get(&format!("/v1/{list}")).await.body, "{list} at the head is {list}");
        let empty = house.shown(&format!("/v1/{list}?at=0")).await;
        assert_eq!(empty["items"], json!([]), "{list} before the first event");
    }
    assert_eq!(house.shown("/v1/fleet?at=4").await["nodes"], 2);
    assert_eq!(house.shown("/v1/log?at=4").await["position"], 4);
    for (time, position) in
        [("9999-12-31T23:59:59Z", head), ("2999-01-01T00:00:00Z", head), ("-009999-01-01T00:00:00Z", 0)]
    {
        let shown = house.get(&format!("/v1/documents?at={time}")).await;
        assert_eq!(shown.header("headwater-position"), position.to_string(), "{time}: {shown}");
    }
}

#[tokio::test]
async fn a_jobs_spec_is_a_file_of_its_holder() {
    let house = furnished().await;
    let job = job();
    let uri = format!("/v1/nodes/n-2/files/jobs/{job}.json");
    let file = house.get(&uri).await;
    let shown = house.shown(&format!("/v1/jobs/{job}")).await;
    assert_eq!((file.json(), file.header("content-type")), (shown["spec"].clone(), "application/json"));
    assert_eq!(json!(Digest::of(&file.body)), shown["spec_digest"]);
    let bearer = format!("Bearer {AUDITOR}");
    let known = [("authorization", bearer.as_str()), ("if-none-match", file.header("etag"))];
    assert_eq!(house.send(request(Method::GET, &uri, &known, "")).await.status, StatusCode::NOT_MODIFIED);
    house.get(&format!("/v1/nodes/n-1/files/jobs/{job}.json")).await.is_problem(
        "another's",
        404,
        "unknown_file",
        "path",
    );
}

#[tokio::test]
async fn of_a_past_moment_both_what_was_desired_and_what_was_reported_is_shown() {
    let house = furnished().await;
    let desired = house.shown("/v1/nodes/n-1").await["desired"].clone();
    let running = RecordRef { position: 5.into(), digest: Digest::of(b"what it then ran") };
    let summary = ReportSummary { running: Some(running), ..ReportSummary::default() };
    let noted = Request::of([Command::NoteReport("n-1".parse().unwrap(), summary)]);
    house.log.append(&noted, &Actor::Reconciler, None).unwrap(); // 11
    house.done(json!([put("base", "etc/issue", "other", json!({"all": true}))])).await; // 12
    let then = house.shown("/v1/nodes/n-1?at=11").await;
    assert_eq!((&then["desired"], &then["state"]), (&desired, &json!("progressing")));
    assert_eq!((&then["noted"]["running"], &then["noted"]["position"]), (&json!(running), &json!(11)));
    assert_eq!(then["noted"]["at"], house.shown("/v1/log?at=11").await["at"]);
    assert_eq!(house.shown("/v1/nodes/n-1?at=10").await["noted"], Value::Null, "it had not reported yet");
    assert_ne!(house.shown("/v1/nodes/n-1?at=12").await["desired"], desired);
}
