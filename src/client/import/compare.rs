//! Compares the definitions in the files with those on the server.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::oscal::definition::{DefinitionKind, OscalDefinition};

use super::error::Error;

/// The definitions on the server, by kind and id.
pub(super) type ExistingDefinitions = BTreeMap<DefinitionKind, BTreeMap<String, Value>>;

/// Fields that a definition may leave out; then they count as empty.
const OPTIONAL: [&str; 4] = ["components", "component_selector", "schedule", "runtime_selector"];

/// What the import does with a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DefinitionChange {
    /// The server does not have it.
    Created,
    /// The server has it with other values.
    Updated,
    /// The server has it as the file says.
    Unchanged,
}

/// A definition, and what the import does with it.
#[derive(Debug)]
pub(super) struct ComparedDefinition {
    pub(super) item: OscalDefinition,
    pub(super) change: DefinitionChange,
    /// The version of the definition on the server; 0 if there is none.
    pub(super) version: u64,
}

pub(super) fn compare(
    items: Vec<OscalDefinition>,
    existing: &ExistingDefinitions,
) -> Result<Vec<ComparedDefinition>, Error> {
    items.into_iter().map(|item| compare_one(item, existing)).collect()
}

fn compare_one(item: OscalDefinition, existing: &ExistingDefinitions) -> Result<ComparedDefinition, Error> {
    let Some(found) = existing.get(&item.kind).and_then(|items| items.get(&item.id)) else {
        return Ok(ComparedDefinition { item, change: DefinitionChange::Created, version: 0 });
    };
    let label = |labels: Option<&Value>| labels?.get("oscal-id")?.as_str().map(str::to_owned);
    let (ours, theirs) = (label(item.command.get("labels")), label(found.get("labels")));
    if let (Some(here), Some(there)) = (ours, theirs)
        && here != there
    {
        return Err(Error::IdTaken { place: item.place(), kind: item.kind.name(), id: item.id, there, here });
    }
    let is_same = is_same(&item, found);
    let change = if is_same { DefinitionChange::Unchanged } else { DefinitionChange::Updated };
    let version = found["version"].as_u64().unwrap_or_default();
    Ok(ComparedDefinition { item, change, version })
}

/// Whether a definition on the server is as the file says.
fn is_same(item: &OscalDefinition, found: &Value) -> bool {
    let mut fields = item.command.keys().map(String::as_str).chain(OPTIONAL);
    fields.all(|name| match name {
        // An empty selector means all, and no selector means none.
        "component_selector" => {
            let set = |value: Option<&Value>| value.is_some_and(|value| !value.is_null());
            set(item.command.get(name)) == set(found.get(name)) && is_alike(item.command.get(name), found.get(name))
        }
        _ => is_alike(item.command.get(name), found.get(name)),
    })
}

/// Whether two values mean the same: an empty value may be missing, and a list of names has no order.
fn is_alike(one: Option<&Value>, other: Option<&Value>) -> bool {
    match (one, other) {
        (one, other) if is_empty(one) || is_empty(other) => is_empty(one) && is_empty(other),
        (Some(Value::Object(one)), Some(Value::Object(other))) => {
            one.keys().chain(other.keys()).all(|name| is_alike(one.get(name), other.get(name)))
        }
        (Some(Value::Array(one)), Some(Value::Array(other))) => match (names(one), names(other)) {
            (Some(one), Some(other)) => one == other,
            _ => one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_alike(Some(one), Some(other))),
        },
        (one, other) => one == other,
    }
}

fn names(list: &[Value]) -> Option<Vec<&str>> {
    let mut names = list.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?;
    names.sort_unstable();
    Some(names)
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(map)) => map.values().all(|value| is_empty(Some(value))),
        Some(Value::Array(list)) => list.is_empty(),
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_alike_where_they_mean_the_same() {
        for (one, other, expected) in [
            (json!({"a": []}), json!({}), true),
            (json!(["a", "b"]), json!(["b", "a"]), true),
            (json!(["a", "a"]), json!(["a"]), false),
            (json!([{"a": 1}, 2]), json!([2, {"a": 1}]), false),
            (json!({"a": {"b": null}}), json!({"a": {"b": "x"}}), false),
            (json!({"a": {"b": []}}), json!({"a": {"b": null}}), true),
            (json!({"a": ""}), json!({}), false),
            (json!("a"), json!("b"), false),
            (json!(0), json!(null), false),
        ] {
            assert_eq!(is_alike(Some(&one), Some(&other)), expected, "{one} {other}");
            assert_eq!(is_alike(Some(&other), Some(&one)), expected, "{other} {one}");
        }
    }
}
