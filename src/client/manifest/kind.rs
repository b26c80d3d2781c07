//! The kinds of manifests, and the fields of each.
//!
//! Fields have the names that they have in commands, with one exception: a component has a field `kind` of its own, which a manifest
//! calls `component_kind`.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use schema::command::{MediaType, Merge};
use schema::compliance::{Provider, SubjectSelector};
use schema::id::{AssessmentId, ComponentId, ControlId, Id};
use schema::invalid::InputError;
use schema::labels::Labels;
use schema::path::DocumentPath;
use schema::schedule::Schedule;
use schema::target::{Selector, Target};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::rollout_policy;

/// What a manifest is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ManifestKind {
    /// Names the bundle that owns what stands beside it.
    Bundle,
    /// What must hold.
    Control,
    /// What a control holds for.
    Component,
    /// How it is found out whether a control holds.
    Assessment,
    /// One check of an assessment.
    Attestation,
    /// A machine.
    Node,
    /// A file on nodes.
    Document,
    /// A folder of which each file is a document.
    Tree,
}

impl ManifestKind {
    /// All of them. What refers to something comes after it.
    pub const ALL: [Self; 8] = [
        Self::Bundle,
        Self::Control,
        Self::Component,
        Self::Assessment,
        Self::Attestation,
        Self::Node,
        Self::Document,
        Self::Tree,
    ];

    /// The kind as a manifest says it; what stands before the slash of an entity.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bundle => "bundle",
            Self::Control => "control",
            Self::Component => "component",
            Self::Assessment => "assessment",
            Self::Attestation => "attestation",
            Self::Node => "node",
            Self::Document => "document",
            Self::Tree => "tree",
        }
    }

    /// The type of the command that makes one.
    pub(super) const fn command(self) -> &'static str {
        match self {
            Self::Bundle => "assign_bundle",
            Self::Control => "define_control",
            Self::Component => "define_component",
            Self::Assessment => "define_assessment",
            Self::Attestation => "define_attestation",
            Self::Node => "put_node",
            Self::Document | Self::Tree => "put_document",
        }
    }

    /// The fields beside `kind`.
    pub(super) const fn fields(self) -> &'static [FieldRule] {
        match self {
            Self::Bundle => &BUNDLE,
            Self::Control => &CONTROL,
            Self::Component => &COMPONENT,
            Self::Assessment => &ASSESSMENT,
            Self::Attestation => &ATTESTATION,
            Self::Node => &NODE,
            Self::Document => &DOCUMENT,
            Self::Tree => &TREE,
        }
    }
}

impl FromStr for ManifestKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(())
    }
}

/// A field, and what its value must be.
pub(super) struct FieldRule {
    pub(super) name: &'static str,
    /// The name in the command.
    pub(super) command_name: &'static str,
    pub(super) presence: FieldPresence,
    pub(super) check: fn(Value) -> Result<(), FieldRefusal>,
}

/// Whether a field must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldPresence {
    /// In each manifest.
    Needed,
    /// There, or among the defaults of the bundle.
    NeededOrDefault,
    /// An empty value means the same as none.
    OptionalOrEmpty,
    /// None and an empty one are not the same.
    Optional,
}

/// Why a value does not fit its field, and where in it.
pub(super) struct FieldRefusal {
    pub(super) steps: Vec<FieldStep>,
    pub(super) error: InputError,
}

/// A step from a value into it.
#[derive(Clone, Debug)]
pub(super) enum FieldStep {
    Member(String),
    Item(usize),
}

impl From<InputError> for FieldRefusal {
    fn from(error: InputError) -> Self {
        Self { steps: Vec::new(), error }
    }
}

use FieldPresence::{Needed, NeededOrDefault, Optional, OptionalOrEmpty};

const ID: FieldRule = rule("id", Needed, fits::<Id>);
const TITLE: FieldRule = rule("title", Needed, fits::<String>);
const LABELS: FieldRule = rule("labels", OptionalOrEmpty, fits::<Labels>);
const PARAMETERS: FieldRule = rule("parameters", OptionalOrEmpty, fits::<StringMap>);
const TARGET: FieldRule = rule("target", NeededOrDefault, fits::<Target>);
const PRIORITY: FieldRule = rule("priority", NeededOrDefault, fits::<i32>);
const MERGE: FieldRule = rule("merge", Optional, fits::<Merge>);

const BUNDLE: [FieldRule; 3] = [ID, rule("defaults", Optional, anything), rule("rollout", Optional, policy)];
/// What a bundle can set for the documents and trees beside it.
pub(super) const DEFAULTS: [FieldRule; 2] =
    [rule("target", Optional, fits::<Target>), rule("priority", Optional, fits::<i32>)];
const NODE: [FieldRule; 2] = [ID, rule("labels", Needed, fits::<Labels>)];
const CONTROL: [FieldRule; 6] = [
    ID,
    TITLE,
    rule("class", OptionalOrEmpty, fits::<String>),
    rule("statement", OptionalOrEmpty, fits::<String>),
    PARAMETERS,
    LABELS,
];
const COMPONENT: [FieldRule; 6] = [
    ID,
    TITLE,
    FieldRule { command_name: "kind", ..rule("component_kind", OptionalOrEmpty, fits::<String>) },
    rule("controls", OptionalOrEmpty, fits::<BTreeSet<ControlId>>),
    rule("properties", OptionalOrEmpty, fits::<StringMap>),
    LABELS,
];
const ASSESSMENT: [FieldRule; 6] = [
    ID,
    TITLE,
    rule("control", Needed, fits::<ControlId>),
    rule("components", Optional, fits::<BTreeSet<ComponentId>>),
    rule("component_selector", Optional, fits::<Selector>),
    rule("schedule", Needed, schedule),
];
const ATTESTATION: [FieldRule; 8] = [
    ID,
    rule("assessment", Needed, fits::<AssessmentId>),
    TITLE,
    rule("provider", Needed, fits::<Provider>),
    rule("selector", OptionalOrEmpty, fits::<SubjectSelector>),
    rule("schedule", Optional, schedule),
    PARAMETERS,
    rule("runtime_selector", OptionalOrEmpty, fits::<Selector>),
];
const DOCUMENT: [FieldRule; 11] = [
    ID,
    rule("path", Needed, path),
    rule("media_type", Optional, fits::<MediaType>),
    TARGET,
    PRIORITY,
    MERGE,
    rule("mode", Optional, mode),
    rule("value", Optional, anything),
    rule("content", Optional, fits::<String>),
    rule("content_base64", Optional, fits::<String>),
    rule("file", Optional, fits::<String>),
];
const TREE: [FieldRule; 7] = [
    ID,
    rule("from", Needed, fits::<String>),
    rule("path", Optional, path),
    rule("exclude", Optional, fits::<Vec<String>>),
    TARGET,
    PRIORITY,
    MERGE,
];

type StringMap = BTreeMap<String, String>;

const fn rule(name: &'static str, presence: FieldPresence, check: fn(Value) -> Result<(), FieldRefusal>) -> FieldRule {
    FieldRule { name, command_name: name, presence, check }
}

fn anything(_value: Value) -> Result<(), FieldRefusal> {
    Ok(())
}

/// Whether the value can be read as a `T`, and if not, where it can't.
fn fits<T: DeserializeOwned>(value: Value) -> Result<(), FieldRefusal> {
    let read: Result<T, _> = serde_path_to_error::deserialize(value);
    let Err(error) = read else { return Ok(()) };
    let step = |segment: &serde_path_to_error::Segment| match segment {
        serde_path_to_error::Segment::Map { key } => Some(FieldStep::Member(key.clone())),
        serde_path_to_error::Segment::Seq { index } => Some(FieldStep::Item(*index)),
        serde_path_to_error::Segment::Enum { .. } | serde_path_to_error::Segment::Unknown => None,
    };
    let steps = error.path().iter().map_while(step).collect();
    Err(FieldRefusal { steps, error: InputError::from_serde("", &error.inner().to_string()) })
}

fn text(value: &Value) -> Result<&str, FieldRefusal> {
    Ok(value.as_str().ok_or_else(|| InputError::new("invalid_value", "this is no text"))?)
}

fn path(value: Value) -> Result<(), FieldRefusal> {
    Ok(text(&value)?.parse::<DocumentPath>()?.check_visible()?)
}

fn policy(value: Value) -> Result<(), FieldRefusal> {
    Ok(rollout_policy::check(value)?)
}

fn schedule(value: Value) -> Result<(), FieldRefusal> {
    text(&value)?.parse::<Schedule>()?;
    Ok(())
}

fn mode(value: Value) -> Result<(), FieldRefusal> {
    match value.as_str() {
        Some("644" | "755") => Ok(()),
        _ => Err(InputError::new("invalid_value", "a mode is \"644\" or \"755\", in quotes").into()),
    }
}
