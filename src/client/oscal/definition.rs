//! A definition in a file: its kind, the command that makes it, and its references.
//!
//! Always: [`DefinitionKind`]s are ordered so that a kind refers only to earlier ones; definitions can be made in that order.

use serde_json::{Map, Value};

/// The kinds of definitions; each refers only to earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DefinitionKind {
    /// A requirement.
    Control,
    /// A part of a system that implements controls.
    Component,
    /// How a control is assessed.
    Assessment,
    /// A check that carries an assessment out.
    Attestation,
}

/// A definition.
#[derive(Clone, Debug, PartialEq)]
pub struct OscalDefinition {
    /// Its kind.
    pub kind: DefinitionKind,
    /// Its id in Headwater.
    pub id: String,
    /// Its id in OSCAL.
    pub original: String,
    /// The name of its file.
    pub file: String,
    /// Its JSON path in the file.
    pub path: String,
    /// The fields of the command that defines it, without its type.
    pub command: Map<String, Value>,
    /// Its references.
    pub references: Vec<DefinitionReference>,
}

/// A reference to another definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionReference {
    pub(super) kind: DefinitionKind,
    pub(super) id: String,
    pub(super) path: String,
    /// The list in the command that the reference is removed from if its target does not exist. Without a list, the definition is
    /// skipped instead.
    pub(super) field: Option<&'static str>,
}

impl DefinitionKind {
    /// All kinds, in their order.
    pub const ALL: [Self; 4] = [Self::Control, Self::Component, Self::Assessment, Self::Attestation];

    /// The kind of entity.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Component => "component",
            Self::Assessment => "assessment",
            Self::Attestation => "attestation",
        }
    }

    /// The name of its list in a URL.
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

impl OscalDefinition {
    /// A definition without references.
    pub(super) fn new(
        kind: DefinitionKind,
        id: String,
        original: &str,
        path: &str,
        command: Map<String, Value>,
    ) -> Self {
        let (original, path) = (original.to_owned(), path.to_owned());
        Self { kind, id, original, file: String::new(), path, command, references: Vec::new() }
    }

    /// File and JSON path, for people.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{} {}", self.file, self.path)
    }
}

impl DefinitionReference {
    /// A reference in a list, which is removed if its target does not exist.
    pub(super) fn listed(kind: DefinitionKind, field: &'static str, id: String, path: String) -> Self {
        Self { kind, id, path, field: Some(field) }
    }

    /// A reference without which the definition makes no sense.
    pub(super) fn required(kind: DefinitionKind, id: String, path: String) -> Self {
        Self { kind, id, path, field: None }
    }
}

/// The members of a JSON object that was made with `json!`.
pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => unreachable!("BUG: a command is written as an object"),
    }
}
