//! Canonical JSON of a value: no space, keys sorted by code point, numbers as they are written.

use std::fmt::Write as _;

use super::yaml_node::{YamlEntry, YamlNode, YamlValue};

/// The canonical JSON of a node.
pub(super) fn of(node: &YamlNode) -> String {
    let mut text = String::new();
    append(node, &mut text);
    text
}

fn append(node: &YamlNode, text: &mut String) {
    match &node.value {
        YamlValue::Null => text.push_str("null"),
        YamlValue::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        YamlValue::Number(number) => text.push_str(number),
        YamlValue::Text(string) => append_string(string, text),
        YamlValue::List(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                append(item, text);
            }
            text.push(']');
        }
        YamlValue::Map(entries) => {
            let mut sorted: Vec<&YamlEntry> = entries.iter().collect();
            sorted.sort_by(|one, other| one.key.cmp(&other.key));
            text.push('{');
            for (index, entry) in sorted.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                append_string(&entry.key, text);
                text.push(':');
                append(&entry.value, text);
            }
            text.push('}');
        }
    }
}

fn append_string(string: &str, text: &mut String) {
    write!(text, "{}", serde_json::Value::from(string)).expect("BUG: a String takes any text");
}
