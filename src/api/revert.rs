//! Taking back what a request did, or all that happened since a moment.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use schema::entity::Entity;
use schema::id::{CommandId, NodeId};
use schema::limit::REASON_BYTES_MAX;
use schema::position::Position;
use schema::request::Request;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use crate::impact::DryRunAnswer;

/// Entities that one question names.
pub const ONLY_MAX: usize = 1_000;

/// What is to be taken back. Exactly one of `to` and `command_id` is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("oneOf" = [{"required": ["to"]}, {"required": ["command_id"]}]))]
#[serde(deny_unknown_fields)]
pub struct RevertQuestion {
    /// The moment whose configuration is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<MomentText>,
    /// The request that is to be undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<CommandId>,
    /// Take back only what concerns these: documents, nodes (their labels), controls, components, assessments, attestations, and bundles
    /// with all that belongs to them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(length(max = ONLY_MAX))]
    pub only: BTreeSet<Entity>,
    /// With `command_id`: take back also what others changed since.
    #[serde(default)]
    pub anyway: bool,
    /// The reason that the request is to have; one that says what is taken back, if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = REASON_BYTES_MAX))]
    pub reason: Option<String>,
}

/// A moment as `at` of a URL names it: a position, an RFC 3339 time, or `mark:NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MomentText(pub String);

impl<'de> Deserialize<'de> for MomentText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "it is a position, an RFC 3339 time, or `mark:` and the id of a mark")]
        enum Form {
            Position(u64),
            Text(String),
        }
        Ok(Self(match Form::deserialize(deserializer)? {
            Form::Position(position) => position.to_string(),
            Form::Text(text) => text,
        }))
    }
}

impl JsonSchema for MomentText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> alloc::borrow::Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"oneOf": [
            generator.subschema_for::<Position>(),
            {"type": "string", "format": "date-time"},
            {"type": "string", "pattern": "^mark:[A-Za-z0-9][A-Za-z0-9_-]*$"},
        ]})
    }
}

/// The request that takes it back. Nothing is appended: send it to `POST /v1/commands`, with the plan of the preview.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RevertAnswer {
    /// The last position of the configuration that is wanted.
    pub to: Position,
    /// The request; null if everything is as it is wanted.
    pub request: Option<Request>,
    /// What the request would do now; null if there is none.
    pub preview: Option<DryRunAnswer>,
    /// Nodes that were enrolled or retired since, and stay so: the first 1,000 of them.
    pub left: Vec<LeftNode>,
}

/// A node of which something is not taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftNode {
    /// The node.
    pub node: NodeId,
    /// Whether it was retired since; it was enrolled otherwise.
    pub retired: bool,
}
