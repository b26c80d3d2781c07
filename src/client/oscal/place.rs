//! A place in a file: a value, and the JSON path that leads to it.
//!
//! Always: whoever reads an object takes its members out by name and is left with those that nobody took, so that nothing
//! in a file goes unseen.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::fault::Fault;

/// A value and where it is.
#[derive(Clone, Debug)]
pub(super) struct Place<'a> {
    value: &'a Value,
    /// As it is shown: `catalog.groups[0].id`.
    pub(super) path: String,
}

/// An object whose members are taken out one by one.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
    /// Where the object is.
    pub(super) path: String,
    taken: BTreeSet<&'static str>,
}

impl<'a> Place<'a> {
    /// The value of a whole file, below its one name.
    pub(super) fn top(name: &str, value: &'a Value) -> Self {
        Self { value, path: name.to_owned() }
    }

    /// The value as an object.
    pub(super) fn fields(&self) -> Result<Fields<'a>, Fault> {
        let map = self.value.as_object().ok_or_else(|| self.not("an object"))?;
        Ok(Fields { map, path: self.path.clone(), taken: BTreeSet::new() })
    }

    /// The value as text.
    pub(super) fn text(&self) -> Result<&'a str, Fault> {
        let text = self.value.as_str().ok_or_else(|| self.not("text"))?;
        match text.contains('\0') {
            true => Err(Fault::Text { path: self.path.clone(), detail: "the text contains U+0000" }),
            false => Ok(text),
        }
    }

    /// The value as a whole number from 0.
    pub(super) fn number(&self) -> Result<u64, Fault> {
        self.value.as_u64().ok_or_else(|| self.not("a whole number from 0"))
    }

    /// The value as a list.
    fn list(&self) -> Result<Vec<Self>, Fault> {
        let items = self.value.as_array().ok_or_else(|| self.not("a list"))?;
        let place = |(index, value)| Self { value, path: format!("{}[{index}]", self.path) };
        Ok(items.iter().enumerate().map(place).collect())
    }

    fn not(&self, expected: &'static str) -> Fault {
        Fault::Shape { path: self.path.clone(), expected, found: sort(self.value) }
    }
}

impl<'a> Fields<'a> {
    /// Takes a member out, if it is there.
    pub(super) fn take(&mut self, name: &'static str) -> Option<Place<'a>> {
        self.taken.insert(name);
        self.map.get(name).map(|value| Place { value, path: format!("{}.{name}", self.path) })
    }

    /// Takes text out, if it is there.
    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<&'a str>, Fault> {
        self.take(name).map(|place| place.text()).transpose()
    }

    /// Takes text out that must be there.
    pub(super) fn need(&mut self, name: &'static str) -> Result<&'a str, Fault> {
        self.text(name)?.ok_or_else(|| Fault::Missing { path: self.path.clone(), name })
    }

    /// Takes a list out; none is an empty one.
    pub(super) fn list(&mut self, name: &'static str) -> Result<Vec<Place<'a>>, Fault> {
        self.take(name).map_or_else(|| Ok(Vec::new()), |place| place.list())
    }

    /// Takes a list of texts out.
    pub(super) fn texts(&mut self, name: &'static str) -> Result<Vec<&'a str>, Fault> {
        self.list(name)?.iter().map(Place::text).collect()
    }

    /// Takes an object out, if it is there.
    pub(super) fn object(&mut self, name: &'static str) -> Result<Option<Fields<'a>>, Fault> {
        self.take(name).map(|place| place.fields()).transpose()
    }

    /// The members that nobody took, with their paths.
    pub(super) fn rest(&self) -> impl Iterator<Item = (&'a str, String)> {
        let left = self.map.keys().filter(|name| !self.taken.contains(name.as_str()));
        left.map(|name| (name.as_str(), format!("{}.{name}", self.path)))
    }
}

/// What sort of value it is, as people say it.
pub(super) fn sort(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
