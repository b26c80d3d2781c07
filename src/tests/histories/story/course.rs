//! What happens in the story, from the first principal to the last retirement; rollouts are told beside this.

use schema::command::{Command, CompleteJob, Content, Propose};
use schema::digest::Digest;
use schema::id::{JobId, NodeId, ProposalId, ProposalUuid};
use schema::proposal::ProposalBase;
use schema::report::{AttemptState, FailedAttempt, RecordRef, ReportSummary};
use schema::request::Request;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Story;

pub(super) fn put(id: &str, path: &str, content: &str, target: Value, priority: i32) -> Value {
    json!({"type": "put_document", "id": id, "path": path, "media_type": "text/plain", "content": content,
        "target": target, "priority": priority})
}

/// A file that can be run, the same bytes that can't, and the first of them as it was.
pub(super) fn programs(story: &mut Story) {
    let script = |mode: &str| {
        let mut put = put("check-readout", "bin/check-readout", "#!/bin/sh\n", json!({"all": true}), 0);
        put["mode"] = mode.into();
        put
    };
    story.planned("ann", json!([script("755")]));
    story.planned("ann", json!([script("644")]));
    story.planned("ann", json!([script("755")]));
}

pub(super) fn begins(story: &mut Story) {
    let token = |text: &str| Digest::of(text.as_bytes());
    story.json(
        "system/install",
        Value::Null,
        json!([
        {"type": "create_principal", "name": "ann", "role": "admin", "token_hash": token("ann")}]),
    );
    story.json(
        "ann",
        json!("the first of the fleet"),
        json!([
        {"type": "create_principal", "name": "eve", "role": "auditor", "token_hash": token("eve")},
        {"type": "enrol_node", "id": "lund-1", "labels": {"site": "lund"}},
        {"type": "enrol_node", "id": "lund-2", "labels": {"site": "lund", "rôle": "détecteur"}},
        {"type": "enrol_node", "id": "copenhagen-1", "labels": {"site": "copenhagen"}}]),
    );
    story.json(
        "ann",
        json!(""),
        json!([
            put("motd", "etc/motd", "hello\n", json!({"all": true}), 0),
            put("motd-lund", "etc/motd", "hej\n", json!({"match_labels": {"site": "lund"}}), 10)
        ]),
    );
    story.json(
        "ann",
        json!("more than fits into a record: 5000 bytes"),
        json!([
            put("calibration", "etc/calibration.txt", &"0123456789".repeat(500), json!({"nodes": ["lund-1"]}), 0),
            put("empty", "etc/empty", "", json!({"match_expressions": [{"key": "site", "operator": "Exists"}]}), -1)
        ]),
    );
    story.json("ann", Value::Null, json!([{"type": "label_node", "id": "copenhagen-1", "labels": {"site": "lund"}}]));
    story.json(
        "ann",
        Value::Null,
        json!([
        put("motd", "etc/motd", "hello again\n", json!({"all": true}), 0),
        {"type": "remove_document", "id": "empty"}]),
    );
}

pub(super) fn assesses(story: &mut Story) {
    let attestation = |id: &str, title: &str| {
        json!({"type": "define_attestation", "id": id, "assessment": "kernel", "title": title,
            "provider": {"name": "ssh", "image": "registry/ssh", "tag": "1.2", "configuration": {"user": "audit"}},
            "selector": {"query": "uname", "ids": ["lund-1"]}, "schedule": "*/5 * * * *", "parameters": {"depth": "2"}})
    };
    story.json("ann", json!("what must hold"), json!([
        {"type": "define_control", "id": "ac-2_1", "title": "Accounts", "class": "access", "statement": "Each has an owner.",
            "parameters": {"days": "30"}, "labels": {"family": "ac"}},
        {"type": "define_control", "id": "gone", "title": "Gone"},
        {"type": "define_component", "id": "kernel", "title": "Kernel", "kind": "software", "controls": ["ac-2_1"],
            "properties": {"version": "6.1"}, "labels": {"os": "linux"}},
        {"type": "define_component", "id": "gone", "title": "Gone"},
        {"type": "define_assessment", "id": "kernel", "title": "Of the kernel", "control": "ac-2_1",
            "component_selector": {"match_labels": {"os": "linux"}}, "schedule": "0 3 * * *"},
        {"type": "define_assessment", "id": "gone", "title": "Gone", "control": "ac-2_1", "components": ["kernel"],
            "schedule": "0 0 3 * * *"},
        attestation("accounts", "Accounts have owners"),
        attestation("idle", "None is idle"),
        attestation("gone", "Gone")]));
    story.json(
        "ann",
        json!("changed its mind"),
        json!([
        {"type": "remove_attestation", "id": "gone"}, {"type": "remove_assessment", "id": "gone"},
        {"type": "remove_component", "id": "gone"}, {"type": "remove_control", "id": "gone"}]),
    );
    story.json("node/lund-1", Value::Null, json!([{"type": "claim_jobs", "runtime": "lund-1", "limit": 1}]));
    story.json(
        "node/lund-2",
        Value::Null,
        json!([{"type": "claim_jobs", "runtime": "lund-2", "limit": 5, "lease_s": 60}]),
    );
    story.json("node/lund-1", Value::Null, json!([{"type": "renew_claims", "runtime": "lund-1"}]));
    let (held, job) = held_by(story, "lund-1");
    let complete = CompleteJob {
        token: story.token(&job),
        job,
        spec_digest: held,
        outcome: "passed".into(),
        evidence: "all 3 have owners".into(),
    };
    story.request("node/lund-1", &Request::of([Command::CompleteJob(complete)]));
    let (_, job) = held_by(story, "lund-2");
    let expire = Command::ExpireClaim(job.clone(), story.token(&job));
    story.request("system/reconciler", &Request::of([expire]));
    story.json("node/lund-1", Value::Null, json!([{"type": "claim_jobs", "runtime": "lund-1", "limit": 5}]));
    story.json("node/lund-1", json!("too much"), json!([{"type": "release_jobs", "runtime": "lund-1", "jobs": [job]}]));
}

/// Each end of a proposal, by a person, by the node and by rules.
pub(super) fn proposes(story: &mut Story) {
    let node: NodeId = "copenhagen-1".parse().unwrap();
    let uuid = |number: u128| ProposalUuid::from(Uuid::from_u128(number));
    let propose = |number: u128, path: &str, base: Option<&str>| {
        let base = ProposalBase { position: 7.into(), digest: base.map(|content| Digest::of(content.as_bytes())) };
        Request::of([Command::Propose(Propose {
            node: node.clone(),
            uuid: uuid(number),
            path: path.parse().unwrap(),
            media_type: "text/plain".parse().unwrap(),
            content: Content::new(format!("proposed as {number}").into_bytes()).unwrap(),
            base,
        })])
    };
    let id = |number| ProposalId::derived(&node, uuid(number));
    story.request("node/copenhagen-1", &propose(1, "etc/gain", None));
    story.request("node/copenhagen-1", &propose(2, "etc/gain", None));
    story.json("ann", json!("measured twice"), json!([{"type": "accept_proposal", "id": id(2)}]));
    story.request("node/copenhagen-1", &propose(3, "etc/motd", Some("another")));
    story.request("node/copenhagen-1", &propose(4, "etc/offset", None));
    story.json("ann", Value::Null, json!([{"type": "reject_proposal", "id": id(4), "reason": "not with this lamp"}]));
    story.request("node/copenhagen-1", &propose(5, "etc/offset", None));
    story.request("node/copenhagen-1", &Request::of([Command::WithdrawProposal(node.clone(), uuid(5))]));
    story.request("node/copenhagen-1", &propose(6, "etc/offset", None));
    story.json("ann", json!("another machine"), json!([{"type": "retire_node", "id": node}]));
}

/// Bundles and marks, by requests that come with their plans.
pub(super) fn bundles(story: &mut Story) {
    let assign = |id: &str, members: &[&str]| json!({"type": "assign_bundle", "id": id, "members": members});
    story.planned(
        "ann",
        json!([
            put("gain", "etc/gain", "1\n", json!({"match_labels": {"site": "lund"}}), 0),
            {"type": "put_node", "id": "lund-3", "labels": {"site": "lund"}},
            {"type": "define_control", "id": "ac-3", "title": "Enforcement"},
            assign("loki", &["document/gain", "document/motd", "node/lund-3", "control/ac-3"]),
        ]),
    );
    story.json("ann", json!("before the run"), json!([{"type": "mark", "id": "run-1234"}]));
    story.json("ann", Value::Null, json!([{"type": "mark", "id": "run-1234", "position": 3, "move": true}]));
    // What leaves is removed, what another bundle takes up moves, and a node stays.
    story.planned("ann", json!([assign("lund", &["document/motd"]), assign("loki", &["document/gain"])]));
    story.planned("ann", json!([{"type": "remove_bundle", "id": "lund"}]));
    // Specs of jobs are in a plan, too, and so is what a node may try again, and its retirement.
    story.planned(
        "ann",
        json!([
            {"type": "define_control", "id": "ac-2_1", "title": "Accounts have owners"},
            {"type": "retry_node", "id": "lund-1"}, {"type": "retire_node", "id": "lund-3"},
        ]),
    );
}

fn held_by(story: &Story, node: &str) -> (Digest, JobId) {
    let node: NodeId = node.parse().unwrap();
    let (id, _) = story.state.jobs().held_by(&node).next().unwrap();
    (story.state.spec(id).unwrap().digest, id.clone())
}

pub(super) fn ends(story: &mut Story) {
    let record_ref =
        |position: u64, text: &str| RecordRef { position: position.into(), digest: Digest::of(text.as_bytes()) };
    let failed = FailedAttempt {
        record: record_ref(11, "tried"),
        state: AttemptState::Failed,
        code: Some("check_failed".into()),
        detail: Some("line 3\nof \"motd\"".into()),
    };
    let (running, drift) = (Some(record_ref(7, "runs")), vec!["files/etc/motd".into()]);
    let summary = ReportSummary { running, failed: Some(failed), drift, good: None, sent: None };
    story.request("system/reconciler", &Request::of([Command::NoteReport("lund-1".parse().unwrap(), summary)]));
    story.json(
        "ann",
        json!("it is over"),
        json!([
        {"type": "retry_node", "id": "lund-1"},
        {"type": "retire_node", "id": "lund-2"},
        {"type": "revoke_principal", "name": "eve"}]),
    );
}
