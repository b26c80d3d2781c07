//! The description of the interface in OpenAPI 3.1, made from the catalogue of operations.
//!
//! Always: the same program makes the same bytes. `schema/openapi.json` is a copy of them, which a test compares.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::LazyLock;

use api::error_code::ErrorCode;
use api::media_type::{JSON, PROBLEM_JSON};
use api::path::OPENAPI;
use api::problem::Problem;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, VARY};
use axum::response::IntoResponse;
use flate2::Compression;
use flate2::write::GzEncoder;
use projections::refusal_code::RefusalCode;
use schema::digest::Digest;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::http::answer::{BodyType, Raw};
use crate::http::catalogue;
use crate::http::compression::accepts_gzip;
use crate::http::context::AppState;
use crate::http::entity_tag::{has_tag, not_modified, tag_of};
use crate::http::operation::{Asked, Operation, get};
use crate::http::params::{Parameter, ParameterPlace};
use crate::http::problem::{ProblemResponse, input_status, refusal_status};

/// Where the document has the schemas that have names.
const DEFINITIONS: &str = "/components/schemas";

/// The document as it is served: anyone may ask for it without a token, so that it is made, hashed and compressed once.
struct ServedDocument {
    text: String,
    compressed: Vec<u8>,
    tag: String,
}

static DOCUMENT: LazyLock<ServedDocument> = LazyLock::new(|| {
    let text = serde_json::to_string_pretty(&document()).expect("BUG: a document is JSON") + "\n";
    let mut compressed = GzEncoder::new(Vec::new(), Compression::best());
    compressed.write_all(text.as_bytes()).expect("BUG: memory takes all bytes");
    let compressed = compressed.finish().expect("BUG: memory takes all bytes");
    ServedDocument { tag: tag_of(Digest::of(text.as_bytes())), text, compressed }
});

/// The document as text.
pub fn document_text() -> &'static str {
    &DOCUMENT.text
}

/// An OpenAPI document.
pub(super) struct OpenApi;

impl BodyType for OpenApi {
    const NAME: &'static str = JSON;
    const HAS_TAG: bool = true;

    fn schema(_: &mut SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "object"})
    }
}

/// All operations, in the order of the document.
pub(super) fn operations() -> Vec<Operation> {
    let mut operations = catalogue::operations();
    operations.push(get(OPENAPI, "get_openapi", "This document", show));
    operations
}

/// `GET /v1/openapi.json`
async fn show(asked: Asked<(), AppState>) -> Result<Raw<OpenApi>, ProblemResponse> {
    let ServedDocument { text, compressed, tag } = &*DOCUMENT;
    let headers = [(CONTENT_TYPE, JSON), (CACHE_CONTROL, "no-cache"), (ETAG, tag.as_str()), (VARY, "accept-encoding")];
    let response = match accepts_gzip(&asked.headers) {
        true => (headers, [(CONTENT_ENCODING, "gzip")], compressed.as_slice()).into_response(),
        false => (headers, text.as_str()).into_response(),
    };
    Ok(Raw::new(if has_tag(&asked.headers, tag) { not_modified(response) } else { response }))
}

fn document() -> Value {
    let settings = |settings: &mut SchemaSettings| settings.definitions_path = DEFINITIONS.into();
    let mut answers = SchemaSettings::draft2020_12().with(settings).for_serialize().into_generator();
    let mut bodies = SchemaSettings::draft2020_12().with(settings).for_deserialize().into_generator();
    let mut problems = Problems::new(&mut answers);
    let mut paths = Map::new();
    for operation in operations() {
        let described = describe(&operation, &mut problems, &mut answers, &mut bodies);
        let path = paths.entry(operation.path.replace("{*", "{")).or_insert_with(|| json!({}));
        path[operation.method.as_str().to_ascii_lowercase()] = described;
    }
    let mut schemas = merge(answers.take_definitions(true), bodies.take_definitions(true), &mut paths);
    schemas.extend(problems.schemas);
    schemas.values_mut().for_each(without_links);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Headwater",
            "version": "1",
            "summary": "Configuration for fleets: commands, and questions about what is, what was and why",
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {
                "type": "http", "scheme": "bearer",
                "description": "A token that `headwater token create` printed.",
            }},
        },
    })
}

const DESCRIPTION: &str = "\
Every answer about the log holds for one position of it, which the header `Headwater-Position` has. Every error is a problem document \
(RFC 9457) with a stable `code`. After an error nothing is written, but for `timed_out` and `unavailable`: whether those commands were \
appended is not known then, so send them again under the same `Idempotency-Key`. Lists are `{items, next}`: send `next` as `cursor` to \
get the page that follows. Times are RFC 3339 in UTC, ids are text, digests and keys are lower-case hexadecimal digits. A parameter, or \
a member of a body, that an operation does not know is refused by its name; an answer can have more members than are named here. A \
`GET` can also be a `HEAD`. An answer to `?at=<position>` has an `ETag`, and `If-None-Match` is answered with 304 as long as it is the same.";

fn describe(
    operation: &Operation,
    problems: &mut Problems,
    answers: &mut SchemaGenerator,
    bodies: &mut SchemaGenerator,
) -> Value {
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "responses": responses(operation, problems, answers),
    });
    if !operation.parameters.is_empty() {
        described["parameters"] = operation.parameters.iter().map(parameter).collect();
    }
    if let Some(body) = operation.body {
        let schema: Value = body(bodies).into();
        described["requestBody"] = json!({"required": true, "content": {JSON: {"schema": schema}}});
    }
    if !operation.needs_token {
        described["security"] = json!([]);
    }
    described
}

fn parameter(parameter: &Parameter) -> Value {
    let place = match parameter.place {
        ParameterPlace::Path => "path",
        ParameterPlace::Query => "query",
        ParameterPlace::Header => "header",
    };
    json!({
        "name": parameter.name,
        "in": place,
        "required": parameter.is_required,
        "description": parameter.description,
        "schema": (parameter.schema)(),
    })
}

fn responses(operation: &Operation, problems: &mut Problems, answers: &mut SchemaGenerator) -> Value {
    let bodies = (operation.answers)(answers);
    let content: Map<String, Value> =
        bodies.into_iter().map(|body| (body.media_type.to_owned(), json!({"schema": body.schema}))).collect();
    let mut good = json!({"description": "Done.", "content": content});
    if operation.needs_token {
        good["headers"] = json!({"Headwater-Position": {
            "description": "The position that the answer holds for.", "schema": {"type": "integer", "minimum": 0},
        }});
    }
    let mut responses = Map::from_iter([("200".to_owned(), good)]);
    if operation.can_be_kept {
        good_headers(&mut responses, "ETag", "Names the bytes of the answer.");
        responses.insert("304".to_owned(), json!({"description": "The caller has this answer already."}));
    }
    for (status, codes) in codes_by_status(operation) {
        let content = json!({PROBLEM_JSON: {"schema": problems.with_codes(status, codes)}});
        let mut refused = json!({"description": "Refused.", "content": content});
        let header = match status {
            401 => Some(("WWW-Authenticate", "Asks for a bearer token (RFC 6750).")),
            405 => Some(("Allow", "The methods that the path answers.")),
            503 => Some(("Retry-After", "Seconds after which it is worth asking again.")),
            _ => None,
        };
        if let Some((name, meaning)) = header {
            refused["headers"] = json!({name: {"description": meaning, "schema": {"type": "string"}}});
        }
        responses.insert(status.to_string(), refused);
    }
    responses.into()
}

/// Adds a header to the good answer.
fn good_headers(responses: &mut Map<String, Value>, name: &str, meaning: &str) {
    if let Some(good) = responses.get_mut("200") {
        good["headers"][name] = json!({"description": meaning, "schema": {"type": "string"}});
    }
}

/// The schemas of problem documents: one for each set of codes that some operation answers with under one status.
struct Problems {
    /// The schema of any problem document.
    any: Value,
    /// By status and codes, the name of the schema.
    names: BTreeMap<(u16, BTreeSet<&'static str>), String>,
    schemas: Map<String, Value>,
}

impl Problems {
    fn new(answers: &mut SchemaGenerator) -> Self {
        Self { any: Problem::json_schema(answers).into(), names: BTreeMap::new(), schemas: Map::new() }
    }

    /// A reference to the schema of problem documents of a status that have one of the codes.
    fn with_codes(&mut self, status: u16, codes: BTreeSet<&'static str>) -> Value {
        let number = 1 + self.names.keys().filter(|(known, _)| *known == status).count();
        let (any, schemas) = (&self.any, &mut self.schemas);
        let name = self.names.entry((status, codes)).or_insert_with_key(|(status, codes)| {
            let suffix = if number == 1 { String::new() } else { format!("_{number}") };
            let name = format!("Problem{status}{suffix}");
            let mut schema = any.clone();
            schema["properties"]["code"]["enum"] = json!(codes);
            schemas.insert(name.clone(), schema);
            name
        });
        json!({"$ref": format!("#{DEFINITIONS}/{name}")})
    }
}

/// The codes that an operation can be refused with, by the status of the answer.
fn codes_by_status(operation: &Operation) -> BTreeMap<u16, BTreeSet<&'static str>> {
    let own = operation.codes.iter().map(|code: &ErrorCode| (code.status(), code.as_str()));
    let refused = RefusalCode::ALL.iter().map(|code| (refusal_status(code.class()).as_u16(), code.as_str()));
    let unreadable = schema::invalid::CODES.iter().map(|code| (input_status(code).as_u16(), *code));
    let refused = refused.filter(|_| operation.decides);
    let unreadable = unreadable.filter(|_| operation.body.is_some());
    let mut by_status = BTreeMap::<u16, BTreeSet<&str>>::new();
    for (status, code) in own.chain(refused).chain(unreadable) {
        by_status.entry(status).or_default().insert(code);
    }
    by_status
}

/// All schemas that have names. A shape that is written in another way than it is read has two: the one that is read ends in
/// `Input`.
fn merge(written: Map<String, Value>, read: Map<String, Value>, paths: &mut Map<String, Value>) -> Map<String, Value> {
    let mut written = written;
    written.values_mut().for_each(leave_open);
    let mut differing: BTreeSet<String> = read
        .iter()
        .filter(|(name, schema)| written.get(*name).is_some_and(|known| known != *schema))
        .map(|(name, _)| name.clone())
        .collect();
    // A schema that refers to one that differs has to differ, too.
    loop {
        let referring = |schema: &Value| differing.iter().any(|name| refers_to(schema, name));
        let more: Vec<String> = read
            .iter()
            .filter(|(name, schema)| !differing.contains(*name) && written.contains_key(*name) && referring(schema))
            .map(|(name, _)| name.clone())
            .collect();
        if more.is_empty() {
            break;
        }
        differing.extend(more);
    }
    let mut schemas = written;
    for (name, mut schema) in read {
        rename(&mut schema, &differing);
        let name = if differing.contains(&name) { format!("{name}Input") } else { name };
        schemas.insert(name, schema);
    }
    for path in paths.values_mut() {
        if let Some(body) = path.pointer_mut("/post/requestBody") {
            rename(body, &differing);
        }
    }
    schemas
}

/// Takes the links to other items of the code out of descriptions, which are doc comments.
fn without_links(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(text)) = members.get_mut("description") {
                *text = plain_text(text);
            }
            members.values_mut().for_each(without_links);
        }
        Value::Array(items) => items.iter_mut().for_each(without_links),
        _ => {}
    }
}

/// ``[`Name`](path)`` and ``[`Name`]`` become `Name`.
fn plain_text(text: &str) -> String {
    let Some((before, rest)) = text.split_once("[`") else { return text.to_owned() };
    let Some((name, after)) = rest.split_once("`]") else { return text.to_owned() };
    let target = after.strip_prefix('(').and_then(|target| target.split_once(')'));
    format!("{before}`{name}`{}", plain_text(target.map_or(after, |(_, after)| after)))
}

/// An answer may get more members one day, and a client must not break on them.
fn leave_open(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.retain(|name, member| name != "additionalProperties" || *member != Value::Bool(false));
            members.values_mut().for_each(leave_open);
        }
        Value::Array(items) => items.iter_mut().for_each(leave_open),
        _ => {}
    }
}

fn refers_to(schema: &Value, name: &str) -> bool {
    match schema {
        Value::Object(members) => {
            let reference = members.get("$ref").and_then(Value::as_str).and_then(|text| text.rsplit('/').next());
            reference == Some(name) || members.values().any(|member| refers_to(member, name))
        }
        Value::Array(items) => items.iter().any(|item| refers_to(item, name)),
        _ => false,
    }
}

/// Lets references to the schemas of these names end in `Input`.
fn rename(schema: &mut Value, names: &BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get_mut("$ref")
                && reference.rsplit('/').next().is_some_and(|name| names.contains(name))
            {
                reference.push_str("Input");
            }
            members.values_mut().for_each(|member| rename(member, names));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, names)),
        _ => {}
    }
}
