//! JSON Schemas (draft 2020-12) of what travels as JSON, for the description of the HTTP interface.
//!
//! Structs derive theirs. Here are those of the scalars, which are text or a number with a rule, and of a request.
//! Scalars stand in place and have no name of their own in a document: a generated client then has text, not a class of one member.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::command::{CommandShape, Define, Definition, MediaType, Merge, Role, SHAPES};
use crate::convergence::ConvergenceState;
use crate::desired::EntryKind;
use crate::digest::Digest;
use crate::document_mode::DocumentMode;
use crate::entity::{Actor, Entity};
use crate::id::{
    AssessmentId, AttestationId, BundleId, CommandId, ComponentId, ControlId, DocumentId, EventId, Id, JobId,
    JoinTokenId, LogId, MarkId, NodeId, PlanId, PrincipalName, ProposalId, ProposalUuid, RolloutId,
};
use crate::instant::Instant;
use crate::lease::LeaseToken;
use crate::limit::{
    COMMANDS_MAX, ID_CHARS_MAX, MEDIA_TYPE_BYTES_MAX, PATH_BYTES_MAX, REASON_BYTES_MAX, SCHEDULE_BYTES_MAX,
};
use crate::node_keys::KeyBytes;
use crate::path::DocumentPath;
use crate::position::{Position, Version};
use crate::proposal::{ProposalState, RejectionCode};
use crate::report::AttemptState;
use crate::request::Request;
use crate::schedule::Schedule;
use crate::target::Operator;

/// Schemas that stand in place.
macro_rules! scalars {
    ($($($type:ident),+ => $schema:expr;)*) => {
        $($(impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        })+)*
    };
}

scalars! {
    Id, DocumentId, NodeId, PrincipalName, ControlId, ComponentId, AssessmentId, AttestationId, JobId, JoinTokenId, ProposalId, BundleId, MarkId, PlanId, RolloutId => json_schema!({
        "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]*$", "minLength": 1, "maxLength": ID_CHARS_MAX,
    });
    LogId, CommandId, EventId, ProposalUuid => json_schema!({"type": "string", "format": "uuid"});
    KeyBytes => json_schema!({"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "An Ed25519 public key in hex."});
    DocumentMode => json_schema!({"type": "string", "enum": ["644", "755"]});
    Digest, LeaseToken => json_schema!({
        "type": "string", "pattern": "^[0-9a-f]{64}$", "description": "SHA-256 in lower-case hexadecimal digits.",
    });
    Instant => json_schema!({"type": "string", "format": "date-time"});
    Position, Version => json_schema!({"type": "integer", "format": "int64", "minimum": 0});
    Entity => json_schema!({"type": "string", "pattern": "^[a-z][a-z0-9_]*/[A-Za-z0-9][A-Za-z0-9_-]*$"});
    Actor => json_schema!({"type": "string", "examples": ["ann", "node/node-1", "join/rack-7", "system/reconciler"]});
    MediaType => json_schema!({
        "type": "string", "pattern": "^[ -~]+/[ -~]+$", "minLength": 3, "maxLength": MEDIA_TYPE_BYTES_MAX,
    });
    DocumentPath => json_schema!({
        "type": "string", "minLength": 1, "maxLength": PATH_BYTES_MAX,
        "description": format!("A relative path in at most {PATH_BYTES_MAX} bytes of UTF-8."),
    });
    Schedule => json_schema!({
        "type": "string", "maxLength": SCHEDULE_BYTES_MAX, "examples": ["0 4 * * *"],
        "description": "Cron with five fields, or six with seconds first, in UTC.",
    });
    Operator => json_schema!({"type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist"]});
    Merge => json_schema!({"type": "string", "enum": ["replace"]});
    Role => json_schema!({"type": "string", "enum": ["admin", "auditor"]});
    ConvergenceState => json_schema!({"type": "string", "enum": ConvergenceState::ALL.map(ConvergenceState::name)});
    ProposalState => json_schema!({
        "type": "string", "examples": ["open", "accepted", "rejected", "superseded", "withdrawn"],
    });
    RejectionCode => json_schema!({"type": "string", "examples": ["proposal_stale", "node_retired"]});
    EntryKind => json_schema!({"type": "string", "examples": ["document", "job"]});
    AttemptState => json_schema!({
        "type": "string",
        "examples": ["fetching", "verified", "checking", "applying", "applied", "failed", "refused"],
    });
}

/// One entity's id and its definition, which stand in one object.
impl<I: JsonSchema, T: JsonSchema + Definition> JsonSchema for Define<I, T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Define{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = T::json_schema(generator);
        let id = I::json_schema(generator);
        member(&mut schema, "id", id, true);
        schema.insert("additionalProperties".into(), false.into());
        schema
    }
}

impl JsonSchema for Request {
    fn schema_name() -> Cow<'static, str> {
        "CommandRequest".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let commands: Vec<Value> = SHAPES.iter().flatten().map(|shape| shape.reference(generator).into()).collect();
        json_schema!({
            "type": "object",
            "properties": {
                "reason": {
                    "type": ["string", "null"], "maxLength": REASON_BYTES_MAX,
                    "description": format!("Why, in the sender's words, in at most {REASON_BYTES_MAX} bytes. Each event of the request carries it."),
                },
                "now": {
                    "type": ["boolean", "null"],
                    "description": "Change files of more nodes than the guard allows, or put again what the end of a rollout took back. Needs a reason.",
                },
                "commands": {
                    "type": "array", "minItems": 1, "maxItems": COMMANDS_MAX,
                    "items": {"oneOf": commands, "discriminator": {"propertyName": "type"}},
                    "description": "What is asked for. The commands are decided in this order, and appended together or not at all.",
                },
            },
            "required": ["commands"],
            "if": {"properties": {"now": {"const": true}}, "required": ["now"]},
            "then": {"properties": {"reason": {"type": "string", "minLength": 1}}, "required": ["reason"]},
            "additionalProperties": false,
        })
    }
}

impl CommandShape {
    /// The schema of the command, under a name of its own.
    fn reference(&self, generator: &mut SchemaGenerator) -> Schema {
        let name = self.schema_name();
        let mut schema = (self.members)(generator);
        schema.insert("description".into(), self.meaning.into());
        member(&mut schema, "type", json_schema!({"type": "string", "const": self.name}), true);
        let version = json_schema!({
            "type": ["integer", "null"], "minimum": 0,
            "description": "Refuse the request unless the entity has this version; 0: unless there is no such entity.",
        });
        member(&mut schema, "expected_version", version, false);
        let reference = format!("#{}/{name}", generator.settings().definitions_path.trim_matches(['#', ' ']));
        generator.definitions_mut().insert(name, schema.into());
        Schema::new_ref(reference)
    }

    /// `put_document` is `PutDocumentCommand`.
    fn schema_name(&self) -> String {
        let words = self.name.split('_').flat_map(|word| {
            let mut chars = word.chars();
            chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars)
        });
        words.chain("Command".chars()).collect()
    }
}

/// Adds a member to the schema of an object.
fn member(schema: &mut Schema, name: &str, member: Schema, is_required: bool) {
    let object = schema.ensure_object();
    let properties = object.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    if let Some(properties) = properties.as_object_mut() {
        properties.insert(name.into(), member.into());
    }
    if is_required {
        let required = object.entry("required").or_insert_with(|| json!([]));
        if let Some(required) = required.as_array_mut() {
            required.insert(0, name.into());
        }
    }
}
