//! The part of the story that is about rollouts.

use std::collections::BTreeSet;

use projections::render::render;
use schema::command::{AdvanceRollout, Command};
use schema::id::NodeId;
use schema::report::{RecordRef, ReportSummary};
use schema::request::Request;
use serde_json::{Value, json};

use super::Story;
use super::course::put;

impl Story {
    /// What the reconciler saw of a rollout's nodes.
    pub fn advance(&mut self, rollout: &str, heard: &[&str], silent: &[&str]) {
        let nodes = |named: &[&str]| named.iter().map(|id| id.parse().unwrap()).collect();
        let (id, heard, silent): (_, BTreeSet<NodeId>, BTreeSet<NodeId>) =
            (rollout.parse().unwrap(), nodes(heard), nodes(silent));
        let overdue = heard.union(&silent).cloned().collect();
        let seen = Command::AdvanceRollout(AdvanceRollout { id, heard, silent, overdue, baked: true });
        self.request("system/reconciler", &Request::of([seen]));
    }

    /// These nodes apply what they are to run, and say so.
    pub fn run_all(&mut self, nodes: &[&str]) {
        for id in nodes {
            let node: NodeId = id.parse().unwrap();
            let manifest = render(&self.state, &node).unwrap();
            let running = Some(RecordRef { position: manifest.cause.position, digest: manifest.digest });
            let summary = ReportSummary { running, ..ReportSummary::default() };
            self.request("system/reconciler", &Request::of([Command::NoteReport(node, summary)]));
        }
    }
}

/// Rollouts that end in every way, with every step on the way there.
pub(super) fn rolls_out(story: &mut Story) {
    let nodes: Vec<Value> =
        (1..5).map(|id| json!({"type": "put_node", "id": format!("ring-{id}"), "labels": {"ring": "1"}})).collect();
    story.json("ann", json!("those that try what is new"), json!(nodes));
    story.json("ann", Value::Null, json!([put("old", "etc/old", "old\n", json!({"match_labels": {"ring": "1"}}), 0)]));
    // Promoted: a document that is new, one that goes, and a bundle that has the new one.
    story.planned(
        "ann",
        json!([
        open("good", 1, "approval"), document("lamp", "lamp 1\n", "good"),
        {"type": "remove_document", "id": "old", "rollout": "good"},
        {"type": "assign_bundle", "id": "ring", "members": ["document/lamp"]}, ]),
    );
    story.json("ann", json!("to the canary first"), json!([about("start_rollout", "good")]));
    story.run_all(&["ring-1", "ring-2", "ring-3", "ring-4"]);
    story.advance("good", &["ring-1", "ring-2"], &[]);
    // Something else changes while it is in flight, and is confirmed as well.
    story.json("ann", Value::Null, json!([put("beside", "etc/beside", "1\n", json!({"nodes": ["ring-1"]}), 0)]));
    story.advance("good", &[], &[]);
    story.run_all(&["ring-1"]);
    story.json("ann", Value::Null, json!([{"type": "approve_stage", "id": "good", "stage": "canary"}]));
    for round in ["ring-2", "ring-3", "ring-4"] {
        story.advance("good", &["ring-2", "ring-3", "ring-4"], &[]);
        story.run_all(&["ring-2", "ring-3", "ring-4"]);
        assert!(!story.state.rollouts().is_in_flight(&round.parse().unwrap()));
    }
    story.advance("good", &[], &[]);
    assert!(story.state.rollouts().open().is_empty(), "it is promoted");
    ends_otherwise(story);
}

/// Whatever a rollout changes, in a document for the nodes of a ring.
fn document(id: &str, content: &str, rollout: &str) -> Value {
    let mut put = put(id, &format!("etc/{id}"), content, json!({"match_labels": {"ring": "1"}}), 0);
    put["rollout"] = rollout.into();
    put
}

fn about(kind: &str, id: &str) -> Value {
    json!({"type": kind, "id": id})
}

fn open(id: &str, max_in_flight: u32, gate: &str) -> Value {
    json!({"type": "open_rollout", "id": id, "max_in_flight": max_in_flight, "settle_s": 10,
        "stages": [{"name": "canary", "select": {"nodes": ["ring-1"]}, "bake_s": 1, "gate": gate}]})
}

/// Rollouts that are halted, aborted, completed, and left open.
fn ends_otherwise(story: &mut Story) {
    // Halted by silence, resumed, paused, and aborted by a person.
    story.json(
        "ann",
        Value::Null,
        json!([
            open("bad", 2, "auto"),
            document("lamp", "lamp 2\n", "bad"),
            document("fan", "fan 2\n", "bad"),
            about("start_rollout", "bad")
        ]),
    );
    story.advance("bad", &["ring-1"], &[]);
    (0..8).for_each(|_| story.json("ann", Value::Null, json!([about("retry_node", "lund-1")])));
    story.advance("bad", &[], &["ring-1"]);
    story.json(
        "ann",
        json!("it was switched off"),
        json!([{"type": "resume_rollout", "id": "bad", "max_failures": {"count": 1}}]),
    );
    story.json("ann", Value::Null, json!([about("pause_rollout", "bad")]));
    story.json("ann", Value::Null, json!([about("resume_rollout", "bad")]));
    story.json("ann", json!("the lamp flickers"), json!([about("abort_rollout", "bad")]));
    // Completed by a person, although a node is silent.
    let all_at_once = json!({"type": "open_rollout", "id": "late", "max_in_flight": 9, "settle_s": 10,
        "stages": [{"name": "rest", "bake_s": 1}]});
    story.planned("ann", json!([all_at_once, document("lamp", "lamp 3\n", "late"), about("start_rollout", "late")]));
    story.run_all(&["ring-1"]);
    story.advance("late", &["ring-1", "ring-2"], &[]);
    story.run_all(&["ring-1", "ring-2"]);
    story.json("ann", json!("the others follow when they are back"), json!([about("complete_rollout", "late")]));
    story.json("ann", Value::Null, json!([{"type": "set_guard", "nodes_max": 100}]));
    // One that is left open, with a node that has its changes.
    story.planned_without_rollouts(
        "ann",
        json!([open("open", 2, "auto"), document("lamp", "lamp 4\n", "open"), about("start_rollout", "open")]),
    );
    story.advance("open", &["ring-1"], &[]);
}
