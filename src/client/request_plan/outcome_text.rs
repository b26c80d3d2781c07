//! What a request would do, for people: entities, then nodes with their files, then jobs.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use schema::terminal;

use super::changed_nodes_text::append_changed;
use super::outcome::{OutcomeEvent, OutcomeMove, RequestOutcome};
use super::rollout_text::append_rollout;

/// Entities that are named, beside those that go.
const ENTITIES_MAX: usize = 200;

/// The lines, each with a line feed.
pub(crate) fn format_outcome(outcome: &RequestOutcome) -> String {
    let mut text = String::new();
    append_entities(outcome, &mut text);
    for OutcomeMove { entity, from, to } in &outcome.moves {
        let [entity, from, to] = [entity, from, to].map(|name| terminal::line(name));
        let _ = writeln!(text, "  > {entity}  from bundle {from} to bundle {to}");
    }
    append_nodes(outcome, &mut text);
    outcome.rollouts.iter().for_each(|rollout| append_rollout(rollout, &mut text));
    append_jobs(outcome, &mut text);
    for result in &outcome.results {
        if let (true, Some(bundle)) = (result.changed, &result.owned_by) {
            let retires =
                outcome.nodes.iter().any(|node| node.retired && result.entity == format!("node/{}", node.node));
            let what = match retires {
                true => "take it out of its manifests, because they can't be applied with a retired node",
                false => "the next apply of its manifests makes it again what they say",
            };
            let (entity, bundle) = (terminal::line(&result.entity), terminal::line(bundle));
            let _ = writeln!(text, "{entity} belongs to bundle {bundle}: {what}");
        }
    }
    text
}

/// A line for each entity. What goes is shown, however much of it there is: nothing is removed that was not shown.
fn append_entities(outcome: &RequestOutcome, text: &mut String) {
    let pruned: BTreeSet<&str> = outcome.prunes.iter().map(String::as_str).collect();
    let (mut shown, mut hidden) = (0, 0);
    for (entity, events) in outcome.entities() {
        let sign = sign(outcome, entity, &events);
        if sign != '-' && shown == ENTITIES_MAX {
            hidden += 1;
            continue;
        }
        shown += usize::from(sign != '-');
        let note = if pruned.contains(entity) { "  (leaves the bundle)" } else { "" };
        let _ = writeln!(text, "  {sign} {}{note}", terminal::line(entity));
    }
    if hidden > 0 {
        let _ = writeln!(text, "  and {hidden} more");
    }
}

/// `+` for what is there from then on, `-` for what is not there any more, `~` for all else.
fn sign(outcome: &RequestOutcome, entity: &str, events: &[&OutcomeEvent]) -> char {
    let last = events.last().map_or("", |event| event.event_type.as_str());
    let is_new = match &outcome.creates {
        Some(created) => created.iter().any(|created| created == entity),
        None => events.first().is_some_and(|event| event.version == 1),
    };
    match last.ends_with("Removed") || last == "NodeRetired" {
        true => '-',
        false if is_new => '+',
        false => '~',
    }
}

fn append_nodes(outcome: &RequestOutcome, text: &mut String) {
    if outcome.nodes.is_empty() && outcome.more == 0 {
        if outcome.changes() {
            let when = if outcome.rollouts.is_empty() { "" } else { " at once" };
            let _ = writeln!(text, "No node gets other files{when}.");
        }
        return;
    }
    append_changed(&outcome.nodes, outcome.more, text);
}

fn append_jobs(outcome: &RequestOutcome, text: &mut String) {
    if outcome.jobs.is_empty() {
        return;
    }
    let count = |is_one: fn(&(bool, bool)) -> bool| {
        let turns = outcome.jobs.iter().map(|job| (job.before.is_some(), job.after.is_some()));
        turns.filter(is_one).count()
    };
    let (begin, end) = (count(|turn| *turn == (false, true)), count(|turn| *turn == (true, false)));
    let change = outcome.jobs.len() - begin - end;
    let _ = writeln!(text, "Jobs: {begin} begin, {change} change, {end} end.");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn outcome(more: Value) -> RequestOutcome {
        let mut outcome = json!({"log_id": "l", "base": {"position": 9, "event_id": null}, "plan": "00", "events": []});
        let (Some(members), Value::Object(more)) = (outcome.as_object_mut(), more) else { panic!("objects") };
        members.extend(more);
        serde_json::from_value(outcome).expect("an outcome")
    }

    fn event(event_type: &str, entity: &str, version: u64) -> Value {
        json!({"position": 10, "type": event_type, "entity": entity, "version": version})
    }

    #[test]
    fn an_outcome_is_shown_by_entity_and_by_nodes_that_change_alike() {
        let content = |digest: &str, mode: &str| json!({"digest": digest, "mode": mode});
        let files = json!([
            {"path": "a", "before": null, "after": content("1", "644"), "document": "new"},
            {"path": "b", "before": content("1", "644"), "after": content("1", "755"), "document": "old\u{1b}"},
            {"path": "c", "before": content("1", "644"), "after": null, "document": null}]);
        let node = |id: &str, files: &Value| json!({"node": id, "files": files});
        let names: Vec<String> = (1..9).map(|number| format!("node-{number}")).collect();
        let mut nodes: Vec<Value> = names.iter().map(|id| node(id, &files)).collect();
        nodes.push(json!({"node": "old", "retired": true}));
        let shown = format_outcome(&outcome(json!({
            "events": [event("DocumentPut", "document/new", 1), event("DocumentPut", "document/old", 4),
                event("DocumentRemoved", "document/gone", 2), event("BundleAssigned", "bundle/b", 2)],
            "moves": [{"entity": "document/old", "from": "a", "to": "b"}], "prunes": ["document/gone"], "nodes": nodes, "more": 3,
            "jobs": [{"job": "j", "before": null, "after": "1"}, {"job": "k", "before": "1", "after": null}],
            "results": [{"entity": "document/old", "changed": true, "owned_by": "x"}, {"entity": "document/new", "changed": false, "owned_by": "x"}],
        })));
        let expected = "  + document/new
  ~ document/old
  - document/gone  (leaves the bundle)
  ~ bundle/b
  > document/old  from bundle a to bundle b
12 nodes change:
  node-1, node-2, node-3, node-4, node-5, node-6 and 2 more
    + a  by document new
    ~ b  mode 644 to 755  by document old\u{fffd}
    - c
  old: retired
  and 3 more nodes
Jobs: 1 begin, 0 change, 1 end.
document/old belongs to bundle x: the next apply of its manifests makes it again what they say
";
        assert_eq!(shown, expected);
        assert_eq!(format_outcome(&outcome(json!({}))), "");
        let quiet = format_outcome(&outcome(json!({"events": [event("NodeLabelled", "node/n", 2)]})));
        assert_eq!(quiet, "  ~ node/n\nNo node gets other files.\n");
    }

    #[test]
    fn what_two_outcomes_do_not_share_is_named() {
        use super::super::outcome_difference::OutcomeDifference;
        let shown =
            outcome(json!({"events": [event("DocumentPut", "document/a", 1), event("DocumentPut", "document/b", 1)],
            "nodes": [{"node": "n", "files": []}, {"node": "m", "files": []}]}));
        let now = outcome(json!({"events": [event("DocumentPut", "document/a", 1)],
            "nodes": [{"node": "n", "files": []}, {"node": "m", "files": [], "retired": true}],
            "jobs": [{"job": "j", "before": null, "after": "1"}]}));
        let differs = OutcomeDifference::between(&shown, &now);
        assert_eq!(differs.text(), "entities document/b; nodes m; jobs j");
        assert_eq!(OutcomeDifference::between(&shown, &shown), OutcomeDifference::default());
    }
}
