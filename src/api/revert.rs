//! Taking back what a request did, or all that happened since a moment.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use schema::entity::Entity;
use schema::id::CommandId;
use schema::limit::REASON_BYTES_MAX;
use schema::position::Position;
use schema::request::Request;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use crate::dry_run::DryRunAnswer;

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

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"oneOf": [
            {"type": "integer", "format": "int64", "minimum": 0, "maximum": i64::MAX},
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
    /// The request, as `POST /v1/commands` takes it; null if everything is as it is wanted.
    #[schemars(schema_with = "sendable_request")]
    pub request: Option<Request>,
    /// What the request would do now; null if there is none.
    pub preview: Option<DryRunAnswer>,
    /// What stays as it is although the moment that is wanted had it otherwise: the first 1,000 of it.
    pub left: Vec<LeftEntity>,
    /// How much there is of it beside that.
    pub more: usize,
}

/// The commands are described once, where they are taken: a client sends them as they are.
fn sendable_request(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": ["object", "null"],
        "properties": {
            "reason": {"type": ["string", "null"]},
            "commands": {"type": "array", "items": {"type": "object", "additionalProperties": true}},
        },
        "required": ["reason", "commands"],
    })
}

/// An entity of which something is not taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftEntity {
    /// The entity.
    pub entity: Entity,
    /// Why: `enrolled` (the node was enrolled since, and stays so), `retired` (it was retired since, and stays so), `proposed` (the document
    /// was made of a proposal, which is not accepted again), or `rolled_out` (an open rollout changes the document, and goes on).
    pub why: String,
}
