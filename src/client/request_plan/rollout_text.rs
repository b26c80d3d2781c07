//! What a rollout would do that a request starts, for people: its stages, who stands apart, and what nodes get.

use std::fmt::Write as _;

use api::rollout::NamedNodes;
use schema::terminal;

use super::changed_nodes_text::{append_changed, named};
use super::outcome::{OutcomeRollout, OutcomeStage};

/// Appends the lines of a rollout, each with a line feed.
pub(super) fn append_rollout(rollout: &OutcomeRollout, text: &mut String) {
    let (id, stages) = (terminal::line(&rollout.rollout), rollout.stages.len());
    let sort = |count: u64, one: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") };
    let _ = writeln!(
        text,
        "Rollout {id}: {} in {}, which bake {} s together",
        sort(rollout.members, "node"),
        sort(stages as u64, "stage"),
        rollout.bake_s
    );
    for (index, stage) in rollout.stages.iter().enumerate() {
        append_stage(stage, index + 1 == rollout.stages.len(), text);
    }
    let apart = [
        (&rollout.offline, "not heard, released when they return"),
        (&rollout.busy, "on their way to what is desired already, released when they run it"),
        (&rollout.other_rollout, "in flight in another rollout, released when they have settled"),
        (&rollout.unwell, "rejected what they have to run, released in the last stage"),
        (&rollout.rejected, "rejected exactly this before: they fail at once without `headwater retry`"),
        (&rollout.moot, "get nothing new"),
    ];
    for (nodes, why) in apart.into_iter().filter(|(nodes, _)| !nodes.nodes.is_empty()) {
        let _ = writeln!(text, "  {}: {why}", some(nodes));
    }
    if rollout.nodes.is_empty() && rollout.more == 0 {
        text.push_str("No node gets other files stage by stage.\n");
    } else {
        text.push_str("Stage by stage ");
        append_changed(&rollout.nodes, rollout.more, text);
    }
}

fn append_stage(stage: &OutcomeStage, is_last: bool, text: &mut String) {
    let OutcomeStage { name, members, quota, first } = stage;
    let name = terminal::line(name);
    let _ = match (members, first.nodes.is_empty()) {
        (0, _) if is_last => writeln!(text, "  stage {name}: no node is left for it, and it passes when it has baked"),
        (0, _) => writeln!(text, "  stage {name}: no node is left for it, and it waits until there is one"),
        (_, true) => writeln!(text, "  stage {name}: {quota} of {members}, of which none can be released now"),
        (_, false) => writeln!(text, "  stage {name}: {quota} of {members}, first {}", some(first)),
    };
}

fn some(nodes: &NamedNodes) -> String {
    let count = (nodes.nodes.len() + nodes.more) as u64;
    named(nodes.nodes.iter().map(|node| node.as_str()), count)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rollout_is_shown_by_its_stages_and_by_who_stands_apart() {
        let nodes = |names: &[&str]| json!({"nodes": names, "more": 0});
        let names: Vec<String> = (1..9).map(|number| format!("n-{number}")).collect();
        let file = json!({"path": "a", "before": null, "after": {"digest": "1", "mode": "644"}, "document": "d"});
        let rollout = json!({"rollout": "r-1", "members": 120, "bake_s": 360,
            "stages": [{"name": "canary", "members": 1, "quota": 1, "first": nodes(&["n-3"])},
                {"name": "site", "members": 0, "quota": 0, "first": nodes(&[])},
                {"name": "tenth", "members": 119, "quota": 11, "first": nodes(&[])},
                {"name": "rest", "members": 119, "quota": 119, "first": {"nodes": names, "more": 92}}],
            "offline": nodes(&["n-7"]), "rejected": nodes(&["n-2", "n-4"]),
            "nodes": [{"node": "n-1", "files": [file]}], "more": 119});
        let rollout: OutcomeRollout = serde_json::from_value(rollout).expect("a rollout");
        let mut text = String::new();
        append_rollout(&rollout, &mut text);
        let expected = "\
Rollout r-1: 120 nodes in 4 stages, which bake 360 s together
  stage canary: 1 of 1, first n-3
  stage site: no node is left for it, and it waits until there is one
  stage tenth: 11 of 119, of which none can be released now
  stage rest: 119 of 119, first n-1, n-2, n-3, n-4, n-5, n-6 and 94 more
  n-7: not heard, released when they return
  n-2, n-4: rejected exactly this before: they fail at once without `headwater retry`
Stage by stage 120 nodes change:
  n-1
    + a  by document d
  and 119 more nodes
";
        assert_eq!(text, expected);
    }
}
