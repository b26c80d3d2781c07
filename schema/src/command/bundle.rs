//! The commands about bundles and marks.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::form::strict;
use crate::bundle::OWNED_KINDS;
use crate::entity::Entity;
use crate::id::{BundleId, MarkId};
use crate::invalid::InputError;
use crate::limit::BUNDLE_MEMBERS_MAX;
use crate::position::Position;

/// The fields of `assign_bundle`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AssignBundle {
    /// The id of the bundle.
    pub id: BundleId,
    /// What belongs to it: documents, nodes, controls, components, assessments, attestations.
    #[cfg_attr(feature = "json-schema", schemars(length(max = BUNDLE_MEMBERS_MAX)))]
    pub members: BTreeSet<Entity>,
    /// Take members that belong to another bundle.
    #[serde(default, skip_serializing_if = "is_unset")]
    pub take: bool,
    /// Let the bundle own nothing: an empty list alone is taken for a mistake.
    #[serde(default, skip_serializing_if = "is_unset")]
    pub empty: bool,
    /// Only add members: nothing leaves the bundle.
    #[serde(default, skip_serializing_if = "is_unset")]
    pub grow: bool,
}

/// The fields of `mark`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SetMark {
    /// The id of the mark.
    pub id: MarkId,
    /// The position that it names; the end of the log unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Let it name another position than it does.
    #[serde(default, rename = "move", skip_serializing_if = "is_unset")]
    pub moves: bool,
}

/// A flag that is not set is not written.
fn is_unset(flag: &bool) -> bool {
    !flag
}

impl AssignBundle {
    pub(super) fn read(
        fields: Map<String, Value>,
        command: fn(Self) -> super::Command,
    ) -> Result<super::Command, InputError> {
        let listed = fields.get("members").and_then(Value::as_array).map_or(0, Vec::len);
        let assign: Self = strict(fields)?;
        if listed > BUNDLE_MEMBERS_MAX {
            let detail = format!("a bundle has at most {BUNDLE_MEMBERS_MAX} members, this list {listed}");
            return Err(InputError::new("too_many", detail).at("members"));
        }
        if assign.members.len() < listed {
            return Err(InputError::new("invalid_value", "a member is listed twice").at("members"));
        }
        match assign.members.iter().find(|member| !OWNED_KINDS.contains(&member.kind)) {
            Some(other) => {
                let detail = format!("a bundle has documents, nodes and definitions as members, not {other}");
                Err(InputError::new("invalid_value", detail).at("members"))
            }
            None => Ok(command(assign)),
        }
    }
}
