//! The order of the commands of a rollout that is made of a request.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// The commands of a rollout, in an order in which they can be decided, each with the place of the command that it was made of.
pub(super) fn order(
    commands: &[Value],
    id: &str,
    policy: Value,
    changed: &BTreeSet<String>,
) -> Vec<(Value, Option<usize>)> {
    let (mut first, mut last) = (vec![(policy, None)], Vec::new());
    for (index, command) in commands.iter().enumerate() {
        let document = format!("document/{}", command["id"].as_str().unwrap_or_default());
        match command["type"].as_str() {
            Some("put_document") if !changed.contains(&document) => {}
            Some("put_document") => {
                let mut staged = command.clone();
                staged["rollout"] = json!(id);
                first.push((staged, Some(index)));
            }
            // Bundles are assigned behind everything else.
            Some("assign_bundle") => last.push((command.clone(), Some(index))),
            _ => first.push((command.clone(), Some(index))),
        }
    }
    first.push((json!({"type": "start_rollout", "id": id}), None));
    first.extend(last);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_documents_that_change_are_staged_and_bundles_come_last() {
        let commands = [
            json!({"type": "put_node", "id": "n", "labels": {}}),
            json!({"type": "put_document", "id": "same", "content": "a"}),
            json!({"type": "put_document", "id": "other", "content": "b"}),
            json!({"type": "assign_bundle", "id": "b", "members": []}),
        ];
        let changed = ["document/other".to_owned()].into();
        let policy = json!({"type": "open_rollout", "id": "r"});
        let ordered: Vec<(Value, Option<usize>, bool)> = order(&commands, "r", policy, &changed)
            .into_iter()
            .map(|(command, place)| (command["type"].clone(), place, command["rollout"] == "r"))
            .collect();
        let expected = [
            ("open_rollout", None, false),
            ("put_node", Some(0), false),
            ("put_document", Some(2), true),
            ("start_rollout", None, false),
            ("assign_bundle", Some(3), false),
        ];
        assert_eq!(ordered, expected.map(|(kind, place, staged)| (json!(kind), place, staged)));
    }
}
