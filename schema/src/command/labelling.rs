//! The commands about labels: all labels of one node, and some labels of many.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::form::strict;
use crate::id::NodeId;
use crate::invalid::InputError;
use crate::labels::Labels;
use crate::limit::RELABEL_BYTES_MAX;
use crate::target::Target;

/// The fields of `label_node`.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct LabelNodeForm {
    pub(super) id: NodeId,
    /// All of its labels: those that are missing here are taken away.
    pub(super) labels: Labels,
}

/// Reads a command about a node and all its labels.
pub(super) fn labelled<C>(fields: Map<String, Value>, command: fn(NodeId, Labels) -> C) -> Result<C, InputError> {
    strict::<LabelNodeForm>(fields).map(|node| command(node.id, node.labels))
}

/// The fields of `relabel_nodes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RelabelNodes {
    /// Which nodes, as their labels are at the head of the log. A node that is named must be enrolled and not retired.
    pub target: Target,
    /// Labels that each of them gets, in place of the values that it has: at most 4 KiB together.
    #[serde(default)]
    pub set: Labels,
    /// Labels that each of them loses, if it has them.
    #[serde(default)]
    pub unset: BTreeSet<String>,
}

impl RelabelNodes {
    pub(super) fn read<C>(fields: Map<String, Value>, command: fn(Self) -> C) -> Result<C, InputError> {
        let relabel: Self = strict(fields)?;
        if relabel.set.is_empty() && relabel.unset.is_empty() {
            return Err(InputError::new("missing_field", "one of `set` and `unset` names a label").at("set"));
        }
        let bytes: usize = relabel.set.iter().map(|(key, value)| key.len() + value.len()).sum();
        if bytes > RELABEL_BYTES_MAX {
            let detail = format!("the labels to set have at most {RELABEL_BYTES_MAX} bytes together, these {bytes}");
            return Err(InputError::new("too_large", detail).at("set"));
        }
        match relabel.unset.iter().find(|key| relabel.set.contains_key(key)) {
            Some(key) => Err(InputError::new("invalid_value", format!("label `{key}` is set as well")).at("unset")),
            None => Ok(command(relabel)),
        }
    }

    /// The labels of a node after the command; none if they stay as they are.
    #[must_use]
    pub fn relabelled(&self, labels: &Labels) -> Option<Labels> {
        let has_all = self.set.iter().all(|(key, value)| labels.get(key) == Some(value));
        if has_all && !self.unset.iter().any(|key| labels.contains_key(key)) {
            return None;
        }
        let kept = labels.iter().filter(|(key, _)| !self.unset.contains(*key));
        Some(kept.chain(self.set.iter()).collect())
    }
}
