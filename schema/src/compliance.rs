//! The definitions of compliance: controls, components, assessments and attestations.
//!
//! A control says what must hold, a component is what it holds for, an assessment plans how to find out, and an attestation
//! is one check of that plan. Each shape is both the data of an event and, read strictly, of a command.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::id::{AssessmentId, ComponentId, ControlId};
use crate::invalid::InputError;
use crate::labels::Labels;
use crate::schedule::Schedule;
use crate::target::{Requirement, Selector};

/// Parameters and properties: text to text.
pub type StringMap = BTreeMap<String, String>;

/// A control as of its event: what must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct ControlDefined {
    /// The name that people see.
    pub title: String,
    /// The sort of control, in words of its catalog; may be empty.
    #[serde(default)]
    pub class: String,
    /// What must hold, in prose; may be empty.
    #[serde(default)]
    pub statement: String,
    /// Values that the specs of its attestations have, unless an attestation has others.
    #[serde(default)]
    pub parameters: StringMap,
    /// Labels, which the specs of its jobs contain; no selector compares them.
    #[serde(default)]
    pub labels: Labels,
}

/// A component as of its event: what a control holds for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct ComponentDefined {
    /// The name that people see.
    pub title: String,
    /// The sort of component, such as `software`; may be empty.
    #[serde(default)]
    pub kind: String,
    /// The ids of the controls that apply to the component.
    #[serde(default)]
    pub controls: BTreeSet<ControlId>,
    /// Facts about the component, which the specs of its jobs contain.
    #[serde(default)]
    pub properties: StringMap,
    /// Labels, which component selectors of assessments compare.
    #[serde(default)]
    pub labels: Labels,
}

/// An assessment as of its event: how it is found out whether a control holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(into = "AssessmentForm", try_from = "AssessmentForm")]
pub struct AssessmentDefined {
    /// The name that people see.
    pub title: String,
    /// The id of the control that is assessed.
    pub control: ControlId,
    /// The components that are assessed.
    pub cover: Coverage,
    /// When its attestations are due, unless an attestation has a schedule of its own.
    pub schedule: Schedule,
}

/// The components that an assessment covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// The components with these ids.
    Components(BTreeSet<ComponentId>),
    /// The components whose labels fit; components that are defined later count, too.
    Selector(Selector),
}

/// An assessment as it is written: either `components` or `component_selector`.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "json-schema", schemars(
    rename = "Assessment",
    extend(
            "if" = {"required": ["components"]},
            "then" = {"not": {"required": ["component_selector"]}},
            "else" = {"required": ["component_selector"]}
        )
))]
struct AssessmentForm {
    title: String,
    control: ControlId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    components: Option<BTreeSet<ComponentId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    component_selector: Option<Selector>,
    schedule: Schedule,
}

impl From<AssessmentDefined> for AssessmentForm {
    fn from(assessment: AssessmentDefined) -> Self {
        let AssessmentDefined { title, control, cover, schedule } = assessment;
        let (components, component_selector) = match cover {
            Coverage::Components(components) => (Some(components), None),
            Coverage::Selector(selector) => (None, Some(selector)),
        };
        Self { title, control, components, component_selector, schedule }
    }
}

impl TryFrom<AssessmentForm> for AssessmentDefined {
    type Error = InputError;

    fn try_from(form: AssessmentForm) -> Result<Self, InputError> {
        let AssessmentForm { title, control, components, component_selector, schedule } = form;
        let cover = match (components, component_selector) {
            (Some(components), None) => Coverage::Components(components),
            (None, Some(selector)) => Coverage::Selector(selector),
            (None, None) => {
                return Err(InputError::new("missing_field", "one of `components` and `component_selector` is needed"));
            }
            (Some(_), Some(_)) => {
                let detail = "`components` and `component_selector` exclude each other";
                return Err(InputError::new("invalid_value", detail));
            }
        };
        Ok(Self { title, control, cover, schedule })
    }
}

/// An attestation as of its event: one check of an assessment, from which one job spec is rendered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct AttestationDefined {
    /// The id of the assessment that it belongs to.
    pub assessment: AssessmentId,
    /// The name that people see.
    pub title: String,
    /// The program that checks.
    pub provider: Provider,
    /// The subjects that the provider checks.
    #[serde(default)]
    pub selector: SubjectSelector,
    /// When its job is due; without it, when its assessment says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// Values for the spec; they replace parameters of the control with the same name.
    #[serde(default)]
    pub parameters: StringMap,
    /// The nodes that may claim its job, by their labels; an empty selector means every node.
    #[serde(default)]
    pub runtime_selector: Selector,
}

/// The program that carries out an attestation. Headwater hands its settings on and does not interpret them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// The name by which a runtime knows the provider.
    pub name: String,
    /// Where the provider comes from, such as a container image; may be empty.
    #[serde(default)]
    pub image: String,
    /// The version of the image; may be empty.
    #[serde(default)]
    pub tag: String,
    /// Settings of the provider.
    #[serde(default)]
    pub configuration: StringMap,
}

/// The subjects that a provider checks, in terms of the provider. An empty selector means all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SubjectSelector {
    /// A query in the language of the provider.
    #[serde(default)]
    pub query: String,
    /// Labels that a subject must have with these values.
    #[serde(default)]
    pub labels: Labels,
    /// Further requirements on the labels of a subject.
    #[serde(default)]
    pub expressions: Vec<Requirement>,
    /// Ids of single subjects.
    #[serde(default)]
    pub ids: BTreeSet<String>,
}
