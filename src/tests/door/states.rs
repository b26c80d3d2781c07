//! Nodes in the eyes of the door: what they must hold, what they say, and how many are how far.

use std::time::Duration;

use schema::command::Command;
use schema::digest::Digest;
use schema::entity::Actor;
use schema::report::{Attempt, AttemptState, RecordRef, ReportSummary, ReportWarning, Reported};
use schema::request::Request;
use serde_json::{Value, json};

use crate::ask::{House, enrol, put};

/// A report of a node that runs this.
pub(crate) fn report(node: &str, running: Option<RecordRef>) -> Reported {
    let log_id = Some(uuid::Uuid::from_u128(7).into());
    let blank = Reported::blank(node.parse().unwrap(), "boot".into(), "test/1".into());
    Reported { log_id, seq: 1, seen: running, running, last_good: running, ..blank }
}

impl House {
    pub(crate) fn hear(&self, report: Reported, age: Duration) {
        self.ears.hear(report.node.clone(), report, age);
    }

    pub(crate) async fn desired(&self, node: &str) -> RecordRef {
        let shown = self.shown(&format!("/v1/nodes/{node}")).await;
        let digest = shown["desired"]["digest"].as_str().unwrap().parse().unwrap();
        RecordRef { position: shown["desired"]["position"].as_u64().unwrap().into(), digest }
    }

    async fn state(&self, node: &str) -> String {
        let shown = self.shown(&format!("/v1/nodes/{node}")).await;
        let listed = self.shown("/v1/nodes").await;
        let listed = listed["items"].as_array().unwrap().iter().find(|item| item["id"] == node).unwrap();
        assert_eq!(shown["state"], listed["state"], "the list and the node agree");
        shown["state"].as_str().unwrap().to_string()
    }
}

#[tokio::test]
async fn a_node_is_judged_by_what_it_was_heard_to_say() {
    let house = House::new();
    house.done(json!([enrol("n-1", json!({"site": "lund"})), put("d", "d", "1", json!({"all": true}))])).await;
    assert_eq!(house.state("n-1").await, "unknown");
    let why = house.shown("/v1/why/nodes/n-1/d").await;
    assert_eq!((&why["runs"], &why["reason"]["code"]), (&json!({"known": false, "file": null}), &json!("never_heard")));
    let first = house.desired("n-1").await;
    house.hear(report("n-1", None), Duration::ZERO);
    assert_eq!(house.state("n-1").await, "progressing");
    house.hear(report("n-1", Some(first)), Duration::ZERO);
    assert_eq!(house.state("n-1").await, "converged");
    house.done(json!([put("d", "d", "2", json!({"all": true}))])).await;
    assert_eq!(house.state("n-1").await, "progressing", "what it runs is not what it must any more");
    let second = house.desired("n-1").await;
    let attempt = Attempt {
        position: second.position,
        digest: second.digest,
        state: AttemptState::Failed,
        code: Some("check_failed".into()),
        detail: Some("too high".into()),
        at: schema::instant::Instant::default(),
    };
    house.hear(Reported { attempt: Some(attempt), ..report("n-1", Some(first)) }, Duration::ZERO);
    assert_eq!(house.state("n-1").await, "failed");
    let listed = house.shown("/v1/nodes").await["items"][0].clone();
    let reason = json!({"code": "check_failed", "detail": "too high"});
    assert_eq!((&listed["running"], &listed["reason"]), (&json!(first), &reason), "a list says what runs and why");
    assert!(listed["silence_ms"].is_u64() && listed["desired"]["digest"] == json!(second.digest), "{listed}");
    let why = house.shown("/v1/why/nodes/n-1/d").await;
    assert_eq!((&why["found"]["digest"], &why["state"]), (&json!(Digest::of(b"2")), &json!("failed")));
    assert_eq!((&why["reason"], &why["desired"], &why["running"]), (&reason, &json!(second), &json!(first)));
    assert_eq!((&why["runs"]["known"], &why["runs"]["file"]["digest"]), (&json!(true), &json!(Digest::of(b"1"))));
    house.done(json!([{"type": "retry_node", "id": "n-1"}])).await;
    assert_eq!(house.state("n-1").await, "progressing", "what failed before the retry does not count");
    house.hear(Reported { drift: vec!["files/d".into()], ..report("n-1", Some(second)) }, Duration::ZERO);
    assert_eq!(house.state("n-1").await, "drifted");
    let beyond = RecordRef { position: 1_000.into(), digest: Digest::of(b"") };
    house.hear(Reported { seen: Some(beyond), ..report("n-1", Some(second)) }, Duration::ZERO);
    assert_eq!(house.state("n-1").await, "ahead");
    let warnings = vec![ReportWarning { code: "check_changed_tree".into(), detail: "files/x".into() }];
    house.hear(Reported { warnings, ..report("n-1", Some(second)) }, Duration::ZERO);
    assert_eq!(house.state("n-1").await, "converged", "a warning is no failure");
    let shown = house.shown("/v1/nodes/n-1").await;
    assert_eq!(shown["reported"]["warnings"], json!([{"code": "check_changed_tree", "detail": "files/x"}]));
    house.hear(report("n-1", Some(second)), Duration::from_secs(31));
    assert_eq!(house.state("n-1").await, "offline");
    let shown = house.shown("/v1/nodes/n-1").await;
    assert!(shown["reported"]["silence_ms"].as_u64().unwrap() >= 31_000);
    assert_eq!(shown["reported"]["running"]["digest"], json!(second.digest));
    assert_eq!((&shown["labels"], &shown["retired"]), (&json!({"site": "lund"}), &json!(false)));
}

#[tokio::test]
async fn two_agents_with_one_id_are_a_state() {
    let house = House::new();
    house.done(json!([enrol("n-1", json!({}))])).await;
    let mark = house.desired("n-1").await;
    for (boot, state) in [("first", "converged"), ("second", "converged"), ("first", "duplicate")] {
        house.hear(Reported { boot: boot.into(), ..report("n-1", Some(mark)) }, Duration::ZERO);
        assert_eq!(house.state("n-1").await, state);
    }
    assert_eq!(house.shown("/v1/fleet").await["states"]["duplicate"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_a_moment_behind_takes_no_node_for_ahead() {
    let house = House::new();
    house.done(json!([enrol("n-1", json!({}))])).await;
    let seen = RecordRef { position: 4.into(), digest: Digest::of(b"") };
    house.hear(Reported { seen: Some(seen), ..report("n-1", None) }, Duration::ZERO);
    let other_server = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        house.done(json!([{"type": "retry_node", "id": "n-1"}])).await
    };
    let (shown, _) = tokio::join!(house.shown("/v1/nodes/n-1"), other_server);
    assert_eq!(shown["state"], "progressing");
    let beyond = RecordRef { position: 5.into(), digest: Digest::of(b"") };
    house.hear(Reported { seen: Some(beyond), ..report("n-1", None) }, Duration::ZERO);
    assert_eq!(house.state("n-1").await, "ahead");
}

#[tokio::test]
async fn of_the_past_only_the_log_tells() {
    let house = House::new();
    house.done(json!([enrol("n-1", json!({})), put("d", "d", "1", json!({"all": true}))])).await;
    let mark = house.desired("n-1").await;
    let noted = ReportSummary::from(&report("n-1", Some(mark)));
    let request = Request::of([Command::NoteReport("n-1".parse().unwrap(), noted)]);
    house.log.append(&request, &Actor::Reconciler, None).unwrap();
    house.hear(report("n-1", None), Duration::from_secs(60));
    assert_eq!(house.state("n-1").await, "offline");
    let state = async |at: u64| house.shown(&format!("/v1/nodes/n-1?at={at}")).await;
    assert_eq!(state(4).await["state"], "unknown");
    let then = state(5).await;
    assert_eq!((&then["state"], &then["reported"]), (&json!("converged"), &Value::Null));
    assert_eq!((&then["noted"]["position"], &then["noted"]["running"]["digest"]), (&json!(5), &json!(mark.digest)));
    assert_eq!(house.shown("/v1/fleet?at=5").await["states"]["converged"], 1);
    assert_eq!(house.shown("/v1/fleet").await["states"]["offline"], 1);
}

#[tokio::test]
async fn the_fleet_counts_every_node_once_and_the_retired_apart() {
    let house = House::new();
    house
        .done(json!([
            put("d", "d", "1", json!({"all": true})),
            enrol("n-1", json!({})),
            enrol("n-2", json!({})),
            enrol("n-3", json!({})),
            enrol("n-4", json!({})),
            {"type": "retire_node", "id": "n-4"},
        ]))
        .await;
    let mark = house.desired("n-1").await;
    house.hear(report("n-1", Some(mark)), Duration::ZERO);
    house.hear(report("n-2", None), Duration::ZERO);
    let fleet = house.shown("/v1/fleet").await;
    assert_eq!((&fleet["nodes"], &fleet["retired"], &fleet["position"]), (&json!(3), &json!(1), &json!(8)));
    let states = json!({"converged": 1, "progressing": 1, "unknown": 1, "failed": 0, "refused": 0, "drifted": 0, "offline": 0, "ahead": 0, "duplicate": 0});
    assert_eq!(fleet["states"], states);
    let retired = house.shown("/v1/nodes/n-4").await;
    assert_eq!((&retired["retired"], &retired["desired"]["entries"]), (&json!(true), &json!([])));
}
