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
use crate::schedule::Schedule;
use crate::target::{Labels, Requirement, Selector};

/// Parameters and properties: text to text.
pub type StringMap = BTreeMap<String, String>;

/// A control as of its event: what must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct ControlDefined {
    /// For people.
    pub title: String,
    /// What sort of control.
    #[serde(default)]
    pub class: String,
    /// What must hold, in prose.
    #[serde(default)]
    pub statement: String,
    /// What an attestation takes over unless it says otherwise.
    #[serde(default)]
    pub parameters: StringMap,
    /// Its labels.
    #[serde(default)]
    pub labels: Labels,
}

/// A component as of its event: what a control holds for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct ComponentDefined {
    /// For people.
    pub title: String,
    /// What sort of component.
    #[serde(default)]
    pub kind: String,
    /// The controls that hold for it.
    #[serde(default)]
    pub controls: BTreeSet<ControlId>,
    /// What is known of it.
    #[serde(default)]
    pub properties: StringMap,
    /// What selectors ask for.
    #[serde(default)]
    pub labels: Labels,
}

/// An assessment as of its event: how it is found out whether a control holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(into = "AssessmentForm", try_from = "AssessmentForm")]
pub struct AssessmentDefined {
    /// For people.
    pub title: String,
    /// Which control.
    pub control: ControlId,
    /// Of which components.
    pub cover: Coverage,
    /// When its attestations are due, unless they say otherwise.
    pub schedule: Schedule,
}

/// The components of an assessment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// These.
    Components(BTreeSet<ComponentId>),
    /// Those whose labels fit, as they are at any time.
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
    /// Which assessment.
    pub assessment: AssessmentId,
    /// For people.
    pub title: String,
    /// What checks.
    pub provider: Provider,
    /// What is looked at.
    #[serde(default)]
    pub selector: SubjectSelector,
    /// When it is due; if not said, when its assessment is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// Parameters that the control does not have, or has otherwise.
    #[serde(default)]
    pub parameters: StringMap,
    /// The nodes that may run it.
    #[serde(default)]
    pub runtime_selector: Selector,
}

/// What checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    #[serde(default)]
    pub image: String,
    /// Which one of that.
    #[serde(default)]
    pub tag: String,
    /// How it is set up.
    #[serde(default)]
    pub configuration: StringMap,
}

/// What a provider looks at, in its own words. Empty, it is everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SubjectSelector {
    /// In the provider's language.
    #[serde(default)]
    pub query: String,
    /// By labels.
    #[serde(default)]
    pub labels: Labels,
    /// By further requirements on labels.
    #[serde(default)]
    pub expressions: Vec<Requirement>,
    /// By name.
    #[serde(default)]
    pub ids: BTreeSet<String>,
}
