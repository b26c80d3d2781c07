//! A rollout in words.

use std::fmt::Write as _;

use api::path::ROLLOUTS;
use api::rollout::{NamedNodes, RolloutDetail, RolloutSummary, StageView, WaitView};
use schema::id::RolloutId;
use schema::rollout::{FailureAction, OutcomeCounts, StageGate, StageQuota};
use schema::terminal;
use serde_json::Value;

/// Nodes that a line names; more are only counted.
const NAMED_MAX: usize = 5;

/// Where a server answers for a rollout.
pub(super) fn path(id: &RolloutId) -> String {
    format!("{ROLLOUTS}/{id}")
}

/// How far a rollout is, and what it waits for, in a line.
pub(super) fn progress(rollout: &RolloutSummary) -> String {
    let stage = rollout.stage.as_ref().map_or_else(String::new, |stage| format!(", stage {stage}"));
    let mut line = format!("{}{stage}: {} released", rollout.status, rollout.released);
    if rollout.in_flight > 0 {
        write!(line, ", {} in flight", rollout.in_flight).expect("BUG: a String takes any text");
    }
    line.push_str(&counts(&rollout.counts));
    if let Some(wait) = &rollout.waiting {
        write!(line, "; {}", waiting(wait)).expect("BUG: a String takes any text");
    }
    if let Some(ended) = &rollout.ended {
        let why = ended.reason.as_deref().map_or_else(String::new, |why| format!(": {}", terminal::line(why)));
        write!(line, "; ended by {}{why}", ended.by).expect("BUG: a String takes any text");
        if !ended.failed.is_empty() {
            let failed: Vec<&str> = ended.failed.iter().take(NAMED_MAX).map(|node| node.as_str()).collect();
            write!(line, "; not well: {}", failed.join(", ")).expect("BUG: a String takes any text");
        }
    }
    line.push('\n');
    line
}

fn counts(counts: &OutcomeCounts) -> String {
    let OutcomeCounts { confirmed, failed, late, lost, moot, shadowed } = *counts;
    let all = [
        (confirmed, "confirmed"),
        (failed, "failed"),
        (late, "late"),
        (lost, "lost"),
        (moot, "unchanged"),
        (shadowed, "overridden"),
    ];
    all.into_iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!(", {count} {name}")).collect()
}

/// What it waits for, as a clause.
fn waiting(wait: &WaitView) -> String {
    let nodes = nodes(&wait.nodes);
    let until = wait.until.map_or_else(String::new, |until| format!(", until {until} at the latest"));
    match wait.reason.as_str() {
        "settle" => format!("waits for {nodes} to run the changes{until}"),
        "bake" => format!("waits for the changes to prove themselves{until}"),
        "approval" => "waits for a person to approve the stage (headwater rollout approve)".to_owned(),
        "offline" => format!("waits for {nodes} to be heard"),
        "evidence" => {
            "waits for nodes of the stage to confirm the changes, and there is none left to release".to_owned()
        }
        "other_rollout" => format!("waits for {nodes}, in flight in another rollout"),
        "busy" => format!("waits for {nodes} to run what was desired before"),
        "paused" => "is paused (headwater rollout resume)".to_owned(),
        "halted" if wait.nodes.nodes.is_empty() => "has too many failures".to_owned(),
        "halted" => format!("has too many failures: {nodes}"),
        other => format!("waits: {other}"),
    }
}

fn nodes(NamedNodes { nodes, more }: &NamedNodes) -> String {
    let named: Vec<&str> = nodes.iter().take(NAMED_MAX).map(|node| node.as_str()).collect();
    match nodes.len().saturating_sub(NAMED_MAX) + more {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// A rollout with its policy, its changes and its stages.
pub(super) fn outline(rollout: &Value) -> String {
    let Ok(rollout) = serde_json::from_value::<RolloutDetail>(rollout.clone()) else {
        return format!("{rollout:#}\n");
    };
    let mut text = format!("{} {}", rollout.summary.id, progress(&rollout.summary));
    for change in &rollout.changes {
        let becomes = match (&change.path, &change.digest) {
            (Some(path), Some(digest)) => format!("becomes {path} ({})", digest.short()),
            _ => "is removed".to_owned(),
        };
        writeln!(text, "  document {} {becomes}", change.document).expect("BUG: a String takes any text");
    }
    rollout.stages.iter().for_each(|stage| text.push_str(&stage_line(stage)));
    if let Some(policy) = &rollout.policy {
        let action = match policy.on_failure {
            FailureAction::Halt => "halts",
            FailureAction::Abort => "takes the changes back",
        };
        writeln!(
            text,
            "  at most {} in flight, each with {} s to confirm; {action} after more than {} failures",
            policy.max_in_flight, policy.settle_s, policy.max_failures.count
        )
        .expect("BUG: a String takes any text");
    }
    text
}

fn stage_line(stage: &StageView) -> String {
    let quota = match stage.up_to {
        StageQuota::Count(count) => format!("{count} nodes"),
        StageQuota::Percent(100) => "all nodes".to_owned(),
        StageQuota::Percent(percent) => format!("{percent} % of the nodes"),
    };
    let of = if stage.select.is_some() { " with its labels" } else { "" };
    let gate = match (stage.gate, stage.approved) {
        (StageGate::Auto, _) => "",
        (StageGate::Approval, true) => ", approved",
        (StageGate::Approval, false) => ", needs approval",
    };
    let released = match stage.quota {
        0 => String::new(),
        quota => format!(": {} of {quota} released{}", stage.released, counts(&stage.counts)),
    };
    let (name, at_least, bake_s) = (&stage.name, stage.at_least, stage.bake_s);
    format!("  stage {name}: {quota}{of}, at least {at_least} confirmed, bakes {bake_s} s{gate}{released}\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rollout() -> Value {
        let none = json!({"confirmed": 0, "failed": 0, "late": 0, "lost": 0, "moot": 0, "shadowed": 0});
        let one = json!({"confirmed": 1, "failed": 1, "late": 0, "lost": 0, "moot": 0, "shadowed": 0});
        json!({"id": "r-1", "status": "running", "stage": "canary", "released": 3, "in_flight": 1, "counts": one, "failed": 1,
            "waiting": {"for": "settle", "until": "2026-11-28T12:00:00Z", "nodes": ["a", "b", "c", "d", "e", "f"], "more": 3},
            "ended": null, "version": 4, "position": 9, "at": "2026-11-28T11:00:00Z",
            "policy": {"max_in_flight": 2, "settle_s": 30, "max_failures": {"count": 1}, "on_failure": "halt", "absent_max": {"percent": 50}},
            "failures": {"failed": 1, "late": 0, "lost": 0},
            "changes": [{"document": "d", "path": "etc/d", "digest": "ab".repeat(32), "version": 2, "position": 3},
                {"document": "gone", "path": null, "digest": null, "version": 2, "position": 4}],
            "stages": [{"name": "canary", "select": {"all": true}, "up_to": {"count": 3}, "at_least": 2, "bake_s": 60, "gate": "approval",
                    "approved": false, "members": 9, "quota": 3, "released": 3, "counts": one},
                {"name": "rest", "select": null, "up_to": {"percent": 100}, "at_least": 1, "bake_s": 60, "gate": "auto",
                    "approved": false, "members": 0, "quota": 0, "released": 0, "counts": none}]})
    }

    #[test]
    fn what_a_rollout_waits_for_is_said_with_the_nodes() {
        let text = outline(&rollout());
        let first = "r-1 running, stage canary: 3 released, 1 in flight, 1 confirmed, 1 failed; waits for a, b, c, d, e and 4 more to run \
                     the changes, until 2026-11-28T12:00:00.000000Z at the latest\n";
        assert!(text.starts_with(first), "{text}");
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "  document d becomes etc/d (abababababab)",
                "  document gone is removed",
                "  stage canary: 3 nodes with its labels, at least 2 confirmed, bakes 60 s, needs approval: 3 of 3 released, 1 confirmed, 1 failed",
                "  stage rest: all nodes, at least 1 confirmed, bakes 60 s",
                "  at most 2 in flight, each with 30 s to confirm; halts after more than 1 failures",
            ]
        );
    }

    #[test]
    fn who_ended_it_is_said_and_no_control_character_of_theirs_is_printed() {
        let mut ended = rollout();
        (ended["status"], ended["stage"], ended["waiting"]) = (json!("aborted"), json!(null), json!(null));
        ended["ended"] = json!({"by": "ann", "reason": "it flickers\u{1b}[2J", "failed": ["a"]});
        assert!(outline(&ended).contains("; ended by ann: it flickers\u{fffd}[2J; not well: a\n"));
    }
}
