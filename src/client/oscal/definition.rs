//! A definition as a file says it: of what, which command makes it, and what it refers to.
//!
//! Always: every kind stands after those that it refers to, so that whoever goes through them in order can make them.

use serde_json::{Map, Value};

/// What is defined, in the order in which one refers to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// What has to hold.
    Control,
    /// What makes controls hold.
    Component,
    /// How it is found out whether one holds.
    Assessment,
    /// What finds it out.
    Attestation,
}

/// A definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Of what.
    pub kind: Kind,
    /// Its id.
    pub id: String,
    /// What OSCAL calls it.
    pub original: String,
    /// In which file.
    pub file: String,
    /// Where in it.
    pub path: String,
    /// The fields of the command that defines it, without its type.
    pub command: Map<String, Value>,
    /// What it refers to.
    pub needs: Vec<Need>,
}

/// A reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    pub(super) kind: Kind,
    pub(super) id: String,
    pub(super) path: String,
    /// The list that it is taken out of where there is no such thing; with none, the definition goes with it.
    pub(super) field: Option<&'static str>,
}

impl Kind {
    /// Every kind, each after those that it refers to.
    pub const ALL: [Self; 4] = [Self::Control, Self::Component, Self::Assessment, Self::Attestation];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Component => "component",
            Self::Assessment => "assessment",
            Self::Attestation => "attestation",
        }
    }

    /// The name of the list of them at the door.
    #[must_use]
    pub const fn list(self) -> &'static str {
        match self {
            Self::Control => "controls",
            Self::Component => "components",
            Self::Assessment => "assessments",
            Self::Attestation => "attestations",
        }
    }
}

impl Item {
    /// A definition that refers to nothing.
    pub(super) fn new(kind: Kind, id: String, original: &str, path: &str, command: Map<String, Value>) -> Self {
        let (original, path) = (original.to_owned(), path.to_owned());
        Self { kind, id, original, file: String::new(), path, command, needs: Vec::new() }
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{} {}", self.file, self.path)
    }
}

impl Need {
    /// One of a list.
    pub(super) fn listed(kind: Kind, field: &'static str, id: String, path: String) -> Self {
        Self { kind, id, path, field: Some(field) }
    }

    /// One that there must be.
    pub(super) fn must(kind: Kind, id: String, path: String) -> Self {
        Self { kind, id, path, field: None }
    }
}

/// The members of a command.
pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => unreachable!("BUG: a command is written as an object"),
    }
}
