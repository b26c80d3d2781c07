//! A value of YAML with the places of all its parts. Numbers keep their text.

use serde_json::Value;

use super::fault::TextPlace;

/// A value and where it begins.
#[derive(Clone, Debug)]
pub(super) struct YamlNode {
    pub(super) value: YamlValue,
    pub(super) at: TextPlace,
}

/// What JSON can say.
#[derive(Clone, Debug)]
pub(super) enum YamlValue {
    Null,
    Bool(bool),
    /// A number as JSON writes it.
    Number(String),
    Text(String),
    List(Vec<YamlNode>),
    Map(Vec<YamlEntry>),
}

/// A member of a mapping. No key stands twice in one.
#[derive(Clone, Debug)]
pub(super) struct YamlEntry {
    pub(super) key: String,
    pub(super) key_at: TextPlace,
    pub(super) value: YamlNode,
}

impl YamlNode {
    /// The member of a mapping.
    pub(super) fn member(&self, key: &str) -> Option<&YamlEntry> {
        match &self.value {
            YamlValue::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The text of the member of a mapping, if it is a text.
    pub(super) fn text_of(&self, key: &str) -> Option<&str> {
        self.member(key)?.value.text()
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            YamlValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The node as the JSON of a command.
    pub(super) fn to_json(&self) -> Value {
        match &self.value {
            YamlValue::Null => Value::Null,
            YamlValue::Bool(value) => Value::Bool(*value),
            YamlValue::Number(text) => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone())),
            YamlValue::Text(text) => Value::String(text.clone()),
            YamlValue::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            YamlValue::Map(entries) => {
                Value::Object(entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect())
            }
        }
    }

    /// The place of the first text that holds U+0000, which no text of a command may.
    pub(super) fn place_of_nul(&self) -> Option<TextPlace> {
        match &self.value {
            YamlValue::Text(text) => text.contains('\0').then_some(self.at),
            YamlValue::List(items) => items.iter().find_map(Self::place_of_nul),
            YamlValue::Map(entries) => entries.iter().find_map(|entry| match entry.key.contains('\0') {
                true => Some(entry.key_at),
                false => entry.value.place_of_nul(),
            }),
            YamlValue::Null | YamlValue::Bool(_) | YamlValue::Number(_) => None,
        }
    }
}

/// A value of JSON as a node without places.
impl From<&Value> for YamlNode {
    fn from(value: &Value) -> Self {
        let value = match value {
            Value::Null => YamlValue::Null,
            Value::Bool(value) => YamlValue::Bool(*value),
            Value::Number(number) => YamlValue::Number(number.to_string()),
            Value::String(text) => YamlValue::Text(text.clone()),
            Value::Array(items) => YamlValue::List(items.iter().map(Self::from).collect()),
            Value::Object(members) => {
                let entry = |(key, value): (&String, &Value)| YamlEntry {
                    key: key.clone(),
                    key_at: TextPlace::default(),
                    value: Self::from(value),
                };
                YamlValue::Map(members.iter().map(entry).collect())
            }
        };
        Self { value, at: TextPlace::default() }
    }
}
