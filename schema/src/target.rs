//! Targets: the nodes that a document is for, by name or by label selectors as in Kubernetes.

mod selector_text;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize};

use crate::id::NodeId;
use crate::invalid::InputError;
use crate::labels::Labels;

/// The nodes that a document is for. Never empty: a document for nobody is refused while being read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(into = "TargetForm", try_from = "TargetForm")]
pub enum Target {
    /// The document is for every node, also for nodes that are enrolled later.
    All,
    /// The document is for these nodes, whether enrolled yet or not.
    Nodes(BTreeSet<NodeId>),
    /// The document is for every node whose labels fit, as they are at any time.
    Selector(Selector),
}

impl Target {
    /// Whether the target names the node or selects its labels.
    #[must_use]
    pub fn matches(&self, node: &NodeId, labels: &Labels) -> bool {
        match self {
            Self::All => true,
            Self::Nodes(nodes) => nodes.contains(node),
            Self::Selector(selector) => selector.matches(labels),
        }
    }
}

/// Requirements on labels, all of which must hold; none at all hold for everything. Where that would be said by
/// mistake, as in a [`Target`], the selector is refused while being read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// Labels that must be there with these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements that are more than equality.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<Requirement>,
}

impl Selector {
    /// Whether `labels` meet every requirement.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value.as_str()))
            && self.match_expressions.iter().all(|requirement| requirement.matches(labels))
    }
}

/// One requirement on one label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Requirement {
    /// The name of the label.
    pub key: String,
    /// How the label is compared with the values.
    pub operator: Operator,
    /// The values it is about; empty for `Exists` and `DoesNotExist`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    #[cfg_attr(feature = "json-schema", schemars(default))]
    pub values: BTreeSet<String>,
}

/// What a requirement asks of its label. As in Kubernetes, `NotIn` also holds where the label is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Operator {
    /// The label has one of the values.
    In,
    /// The label has none of the values, or is missing.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is missing.
    DoesNotExist,
}

impl Requirement {
    /// Whether `labels` meet the requirement.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            Operator::In => value.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

impl<'de> Deserialize<'de> for Operator {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "In" => Ok(Self::In),
            "NotIn" => Ok(Self::NotIn),
            "Exists" => Ok(Self::Exists),
            "DoesNotExist" => Ok(Self::DoesNotExist),
            other => {
                let detail = format!("`{other}` is not one of In, NotIn, Exists, DoesNotExist");
                Err(serde::de::Error::custom(InputError::new("unknown_operator", detail)))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Requirement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Form {
            key: String,
            operator: Operator,
            #[serde(default)]
            values: BTreeSet<String>,
        }
        let Form { key, operator, values } = Form::deserialize(deserializer)?;
        let wants_values = matches!(operator, Operator::In | Operator::NotIn);
        if wants_values == values.is_empty() {
            let rule = if wants_values { "needs values" } else { "takes no values" };
            let detail = format!("{operator:?} on `{key}` {rule}");
            return Err(serde::de::Error::custom(InputError::new("invalid_target", detail)));
        }
        Ok(Self { key, operator, values })
    }
}

/// The target as it is written: exactly one of `all`, `nodes` and the two kinds of selectors.
#[derive(Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "json-schema", schemars(rename = "Target"))]
#[serde(deny_unknown_fields)]
struct TargetForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    all: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nodes: Option<BTreeSet<NodeId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    match_labels: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    match_expressions: Option<Vec<Requirement>>,
}

impl From<Target> for TargetForm {
    fn from(target: Target) -> Self {
        match target {
            Target::All => Self { all: Some(true), ..Self::default() },
            Target::Nodes(nodes) => Self { nodes: Some(nodes), ..Self::default() },
            Target::Selector(Selector { match_labels, match_expressions }) => Self {
                match_labels: (!match_labels.is_empty()).then_some(match_labels),
                match_expressions: (!match_expressions.is_empty()).then_some(match_expressions),
                ..Self::default()
            },
        }
    }
}

impl TryFrom<TargetForm> for Target {
    type Error = InputError;

    fn try_from(form: TargetForm) -> Result<Self, InputError> {
        let empty = |why| Err(InputError::new("empty_target", why));
        let selects = form.match_labels.is_some() || form.match_expressions.is_some();
        match (form.all, form.nodes, selects) {
            (Some(true), None, false) => Ok(Self::All),
            (Some(false), None, false) => empty("`all` is true or left out"),
            (None, Some(nodes), false) if nodes.is_empty() => empty("`nodes` names no node"),
            (None, Some(nodes), false) => Ok(Self::Nodes(nodes)),
            (None, None, true) => {
                let match_labels = form.match_labels.unwrap_or_default();
                let match_expressions = form.match_expressions.unwrap_or_default();
                if match_labels.is_empty() && match_expressions.is_empty() {
                    return empty("the selector has no requirement; say {\"all\": true} for every node");
                }
                Ok(Self::Selector(Selector { match_labels, match_expressions }))
            }
            (None, None, false) => empty("a target is one of `all`, `nodes`, `match_labels`/`match_expressions`"),
            _ => Err(InputError::new("invalid_target", "`all`, `nodes` and selectors exclude each other")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn read(text: &str) -> Result<Target, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_target_is_written_as_it_is_read() {
        for text in [
            r#"{"all":true}"#,
            r#"{"nodes":["a","b"]}"#,
            r#"{"match_labels":{"site":"lund"}}"#,
            r#"{"match_labels":{"a":"b"},"match_expressions":[{"key":"k","operator":"In","values":["x","y"]}]}"#,
            r#"{"match_expressions":[{"key":"k","operator":"DoesNotExist"}]}"#,
        ] {
            let target = read(text).expect(text);
            assert_eq!(serde_json::to_string(&target).expect("writes"), text);
        }
    }

    #[test]
    fn a_target_for_nobody_or_of_two_minds_is_refused() {
        for (text, code) in [
            ("{}", "empty_target"),
            (r#"{"all":false}"#, "empty_target"),
            (r#"{"nodes":[]}"#, "empty_target"),
            (r#"{"match_labels":{}}"#, "empty_target"),
            (r#"{"match_labels":{},"match_expressions":[]}"#, "empty_target"),
            (r#"{"all":true,"nodes":["a"]}"#, "invalid_target"),
            (r#"{"match_expressions":[{"key":"k","operator":"In"}]}"#, "invalid_target"),
            (r#"{"match_expressions":[{"key":"k","operator":"Exists","values":["a"]}]}"#, "invalid_target"),
            (r#"{"match_expressions":[{"key":"k","operator":"Near","values":["a"]}]}"#, "unknown_operator"),
            (r#"{"nodes":["a.b"]}"#, "invalid_id"),
        ] {
            let refused = read(text).expect_err(text);
            assert!(refused.starts_with(code), "{text}: {refused}");
        }
    }

    #[test]
    fn operators_mean_what_kubernetes_means() {
        let labels = Labels::from([("k", "x")]);
        let none = Labels::new();
        let holds = |operator, values: &[&str], labels: &Labels| {
            let values = values.iter().map(|value| value.to_string()).collect();
            Requirement { key: "k".into(), operator, values }.matches(labels)
        };
        assert!(holds(Operator::In, &["x", "y"], &labels) && !holds(Operator::In, &["x"], &none));
        assert!(!holds(Operator::NotIn, &["x"], &labels) && holds(Operator::NotIn, &["x"], &none));
        assert!(holds(Operator::Exists, &[], &labels) && !holds(Operator::Exists, &[], &none));
        assert!(!holds(Operator::DoesNotExist, &[], &labels) && holds(Operator::DoesNotExist, &[], &none));
    }
}
