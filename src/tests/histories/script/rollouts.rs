//! The lines about rollouts.

use std::collections::BTreeSet;

use schema::command::{AdvanceRollout, Command};
use schema::id::NodeId;
use serde_json::{Map, Value, json};

use super::number;

/// `open_rollout` with one stage before the last one, or two, if a label of their nodes is given; `rest` is the gate of the last one.
pub(super) fn open_rollout(id: &str, named: &Map<String, Value>) -> Value {
    let text = |name: &str| named.get(name).and_then(Value::as_str);
    let mut command = json!({"type": "open_rollout", "id": id, "max_in_flight": 2, "settle_s": 60});
    for member in ["max_in_flight", "settle_s"] {
        if let Some(value) = text(member) {
            command[member] = json!(number(value));
        }
    }
    if let Some(count) = text("failures") {
        command["max_failures"] = json!({"count": number(count)});
    }
    if let Some(percent) = text("absent") {
        command["absent_max"] = json!({"percent": number(percent)});
    }
    if let Some(action) = text("on_failure") {
        command["on_failure"] = json!(action);
    }
    let of = |name: &str| text(name).and_then(|label| label.split_once('='));
    let mut stages: Vec<Value> = Vec::new();
    for (name, (key, value)) in ["canary", "second"].into_iter().filter_map(|name| Some((name, of(name)?))) {
        let gate = text("gate").unwrap_or("auto");
        let mut stage = json!({"name": name, "select": {"match_labels": {key: value}}, "bake_s": 20, "gate": gate});
        if let Some(count) = text("up_to") {
            stage["up_to"] = json!({"count": number(count)});
        }
        stages.push(stage);
    }
    if let Some(gate) = text("rest") {
        stages.push(json!({"name": "rest", "bake_s": 60, "gate": gate}));
    }
    if !stages.is_empty() {
        command["stages"] = json!(stages);
    }
    command
}

/// What was seen of the nodes of a rollout: `heard=A,B` and `silent=C`. The reconciler measures time on a clock of its own; with
/// `measured=nothing` it has just begun.
pub(super) fn advance(id: &str, seen: &[&str]) -> Command {
    let nodes = |name: &str| -> BTreeSet<NodeId> {
        let lists = seen.iter().filter_map(|word| word.split_once('=')).filter(|(list, _)| *list == name);
        lists.flat_map(|(_, nodes)| nodes.split(',')).map(|id| id.parse().unwrap()).collect()
    };
    let (heard, silent): (BTreeSet<NodeId>, BTreeSet<NodeId>) = (nodes("heard"), nodes("silent"));
    let baked = !seen.contains(&"measured=nothing");
    let overdue = if baked { heard.union(&silent).cloned().collect() } else { BTreeSet::new() };
    Command::AdvanceRollout(AdvanceRollout { id: id.parse().unwrap(), heard, silent, overdue, baked })
}

/// The other commands about a rollout that have more than an id.
pub(super) fn steered(words: &[&str], named: &Map<String, Value>) -> Option<Value> {
    let text = |name: &str| named.get(name).and_then(Value::as_str);
    Some(match words[..] {
        ["remove_document", id] if text("rollout").is_some() => {
            json!({"type": "remove_document", "id": id, "rollout": text("rollout")})
        }
        ["open_rollout", id] => open_rollout(id, named),
        ["resume_rollout", id] => match text("failures") {
            Some(count) => json!({"type": "resume_rollout", "id": id, "max_failures": {"count": number(count)}}),
            None => json!({"type": "resume_rollout", "id": id}),
        },
        ["approve_stage", id, stage] => json!({"type": "approve_stage", "id": id, "stage": stage}),
        ["set_guard", nodes] => json!({"type": "set_guard", "nodes_max": nodes.parse::<u32>().ok()}),
        _ => return None,
    })
}
