//! Checks the fields of a manifest against the rules of its kind.

use serde_json::{Map, Value};

use super::declared::DeclaredEntity;
use super::fault::{FaultList, TextPlace};
use super::kind::{FieldPresence, FieldRule, FieldStep, ManifestKind};
use super::yaml_node::{YamlNode, YamlValue};

/// The fields of `node` by their names in a command, or nothing if one of them is at fault; each fault is noted.
pub(super) fn fields(
    node: &YamlNode,
    rules: &[FieldRule],
    defaults: &Map<String, Value>,
    faults: &mut FaultList,
) -> Option<Map<String, Value>> {
    let YamlValue::Map(entries) = &node.value else {
        faults.add(node.at, "invalid_value", "this is a mapping of fields to values");
        return None;
    };
    let (known_before, mut fields) = (faults.count(), Map::new());
    for entry in entries.iter().filter(|entry| entry.key != "kind") {
        match rules.iter().find(|rule| rule.name == entry.key) {
            None => {
                let names: Vec<&str> = rules.iter().map(|rule| rule.name).collect();
                let detail = format!("`{}` is not a field here; there are {}", entry.key, names.join(", "));
                faults.add(entry.key_at, "unknown_field", detail);
            }
            Some(rule) => {
                if let Some(value) = checked(&entry.value, rule, faults) {
                    fields.insert(rule.command_name.to_owned(), value);
                }
            }
        }
    }
    for rule in rules.iter().filter(|rule| node.member(rule.name).is_none()) {
        match (rule.presence, defaults.get(rule.name)) {
            (FieldPresence::NeededOrDefault, Some(value)) => {
                fields.insert(rule.command_name.to_owned(), value.clone());
            }
            (FieldPresence::Needed, _) => {
                faults.add(node.at, "missing_field", format!("the field `{}` is missing", rule.name));
            }
            (FieldPresence::NeededOrDefault, None) => {
                let detail = format!("the field `{}` is missing, and the bundle has no default for it", rule.name);
                faults.add(node.at, "missing_field", detail);
            }
            (FieldPresence::Optional | FieldPresence::OptionalOrEmpty, _) => {}
        }
    }
    (faults.count() == known_before).then_some(fields)
}

fn checked(node: &YamlNode, rule: &FieldRule, faults: &mut FaultList) -> Option<Value> {
    // The content of a document may hold U+0000: it then goes as base64.
    let is_content = ["content", "value"].contains(&rule.name);
    if let Some(at) = node.place_of_nul().filter(|_| !is_content) {
        faults.add(at, "nul_in_text", "text can't hold U+0000");
        return None;
    }
    let value = node.to_json();
    match (rule.check)(value.clone()) {
        Ok(()) => Some(value),
        Err(refused) => {
            let detail = format!("`{}`: {}", rule.name, refused.error.detail);
            faults.add(place_of(node, &refused.steps), refused.error.code, detail);
            None
        }
    }
}

/// Where a part of a value stands, or as near as that is known.
fn place_of(node: &YamlNode, steps: &[FieldStep]) -> TextPlace {
    let Some((first, rest)) = steps.split_first() else { return node.at };
    match (first, &node.value) {
        (FieldStep::Item(index), YamlValue::List(items)) => {
            items.get(*index).map_or(node.at, |item| place_of(item, rest))
        }
        (FieldStep::Member(key), YamlValue::Map(_)) => match node.member(key) {
            Some(entry) if rest.is_empty() => entry.key_at,
            Some(entry) => place_of(&entry.value, rest),
            None => node.at,
        },
        _ => node.at,
    }
}

/// A node, or a definition of compliance.
pub(super) fn read(kind: ManifestKind, node: &YamlNode, faults: &mut FaultList) -> Option<DeclaredEntity> {
    let fields = fields(node, kind.fields(), &Map::new(), faults)?;
    // What concerns several fields is known to the command alone.
    if kind != ManifestKind::Node
        && let Err(refused) = schema::command::Command::read(kind.command(), fields.clone())
    {
        let at = node.member(refused.field.split(['.', '[']).next().unwrap_or_default());
        faults.add(at.map_or(node.at, |entry| entry.key_at), refused.code, refused.detail);
        return None;
    }
    Some(declared(kind, fields, faults, node.at))
}

/// The declaration of an entity whose fields were checked.
pub(super) fn declared(
    kind: ManifestKind,
    fields: Map<String, Value>,
    faults: &FaultList,
    at: TextPlace,
) -> DeclaredEntity {
    let id = fields.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    DeclaredEntity { kind, id, fields, content: None, at: faults.place(at) }
}
