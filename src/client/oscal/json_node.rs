//! A JSON value with its path in the file.
//!
//! Always: a reader takes the members of an object out by name, and the rest can be listed, so that no part of a file is dropped
//! silently.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::error::OscalError;

/// A value with its path.
#[derive(Clone, Debug)]
pub(super) struct JsonNode<'a> {
    value: &'a Value,
    /// Such as `catalog.groups[0].id`.
    pub(super) path: String,
}

/// An object whose members are taken out one by one.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
    /// The path of the object.
    pub(super) path: String,
    taken: BTreeSet<&'static str>,
}

impl<'a> JsonNode<'a> {
    /// The document of a file, below its name.
    pub(super) fn top(name: &str, value: &'a Value) -> Self {
        Self { value, path: name.to_owned() }
    }

    /// The value as an object.
    pub(super) fn fields(&self) -> Result<Fields<'a>, OscalError> {
        let map = self.value.as_object().ok_or_else(|| self.wrong_type("an object"))?;
        Ok(Fields { map, path: self.path.clone(), taken: BTreeSet::new() })
    }

    /// The value as text.
    pub(super) fn text(&self) -> Result<&'a str, OscalError> {
        let text = self.value.as_str().ok_or_else(|| self.wrong_type("text"))?;
        match text.contains('\0') {
            true => Err(OscalError::Text { path: self.path.clone(), detail: "the text contains U+0000" }),
            false => Ok(text),
        }
    }

    /// The value as a whole number from 0.
    pub(super) fn number(&self) -> Result<u64, OscalError> {
        self.value.as_u64().ok_or_else(|| self.wrong_type("a whole number from 0"))
    }

    /// The value as a list.
    fn list(&self) -> Result<Vec<Self>, OscalError> {
        let items = self.value.as_array().ok_or_else(|| self.wrong_type("a list"))?;
        let node = |(index, value)| Self { value, path: format!("{}[{index}]", self.path) };
        Ok(items.iter().enumerate().map(node).collect())
    }

    fn wrong_type(&self, expected: &'static str) -> OscalError {
        OscalError::Shape { path: self.path.clone(), expected, found: type_name(self.value) }
    }
}

impl<'a> Fields<'a> {
    /// Takes a member out, if it is there.
    pub(super) fn take(&mut self, name: &'static str) -> Option<JsonNode<'a>> {
        self.taken.insert(name);
        self.map.get(name).map(|value| JsonNode { value, path: format!("{}.{name}", self.path) })
    }

    /// Takes text out, if it is there.
    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<&'a str>, OscalError> {
        self.take(name).map(|node| node.text()).transpose()
    }

    /// Takes text out that must be there.
    pub(super) fn need(&mut self, name: &'static str) -> Result<&'a str, OscalError> {
        self.text(name)?.ok_or_else(|| OscalError::Missing { path: self.path.clone(), name })
    }

    /// Takes a list out; none is an empty one.
    pub(super) fn list(&mut self, name: &'static str) -> Result<Vec<JsonNode<'a>>, OscalError> {
        self.take(name).map_or_else(|| Ok(Vec::new()), |node| node.list())
    }

    /// Takes a list of texts out.
    pub(super) fn texts(&mut self, name: &'static str) -> Result<Vec<&'a str>, OscalError> {
        self.list(name)?.iter().map(JsonNode::text).collect()
    }

    /// Takes an object out, if it is there.
    pub(super) fn object(&mut self, name: &'static str) -> Result<Option<Fields<'a>>, OscalError> {
        self.take(name).map(|node| node.fields()).transpose()
    }

    /// The members that were not taken out, with their paths.
    pub(super) fn rest(&self) -> impl Iterator<Item = (&'a str, String)> {
        let rest = self.map.keys().filter(|name| !self.taken.contains(name.as_str()));
        rest.map(|name| (name.as_str(), format!("{}.{name}", self.path)))
    }
}

/// The type of a value, for people.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
