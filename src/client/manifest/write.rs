//! Writes what the log holds as manifests, which `apply` reads as the same again.
//!
//! What is not part of a manifest (version, position, bundle) stands in comments, so that applying changes nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schema::terminal;
use serde_json::Value;

use super::canonical;
use super::declared::DeclaredEntity;
use super::fault::{FaultList, TextPlace};
use super::kind::{FieldPresence, FieldRule, ManifestKind};
use super::yaml_node::{YamlEntry, YamlNode, YamlValue};
use super::yaml_reader;
use super::yaml_writer::append_entries;

/// Members of an answer that are told in the comment, where they are there.
const STATUS: [&str; 7] = ["version", "position", "at", "bundle", "state", "retired", "job"];
/// Characters of base64 on a line, as in MIME.
const BASE64_LINE_CHARS: usize = 76;

/// The manifest of an entity as a server shows it (an item of `GET /v1/documents`, `/v1/nodes`, `/v1/controls` …), with its status in a
/// comment. `content` is the content of a document; without it the manifest says that it is left out, and can't be applied.
#[must_use]
pub fn to_yaml(kind: ManifestKind, item: &Value, content: Option<&[u8]>) -> String {
    let mut text = status_comment(item);
    if kind == ManifestKind::Document && content.is_none() {
        let digest = item["digest"].as_str().map(terminal::line).unwrap_or_default();
        text.push_str(&format!("# the content is left out: SHA-256 {digest}\n"));
    }
    append(kind, item, content, &mut text);
    text
}

/// The manifest of an entity as it is declared, in the same form and without a comment.
#[must_use]
pub fn declared_to_yaml(entity: &DeclaredEntity) -> String {
    let mut text = String::new();
    let content = entity.content.as_ref().map(|content| &content.bytes()[..]);
    append(entity.kind, &Value::Object(entity.fields.clone()), content, &mut text);
    text
}

/// The manifest of an entity as a server shows it, without a comment: to compare it with what is declared.
#[must_use]
pub fn present_to_yaml(kind: ManifestKind, item: &Value, content: Option<&[u8]>) -> String {
    let mut text = String::new();
    append(kind, item, content, &mut text);
    text
}

/// Several manifests as one text.
#[must_use]
pub fn join(manifests: &[String]) -> String {
    manifests.join("---\n")
}

fn append(kind: ManifestKind, item: &Value, content: Option<&[u8]>, text: &mut String) {
    let mut entries = vec![entry("kind", YamlValue::Text(kind.name().to_owned()))];
    let fields = kind.fields().iter().filter(|rule| !CONTENT_NAMES.contains(&rule.name));
    entries.extend(fields.filter_map(|rule| field(rule, item)));
    if let Some(bytes) = content.filter(|_| kind == ManifestKind::Document) {
        entries.push(content_entry(bytes, item["media_type"].as_str().unwrap_or_default()));
    }
    append_entries(&entries, 0, text);
}

/// The fields of a document that hold its content.
const CONTENT_NAMES: [&str; 4] = ["value", "content", "content_base64", "file"];

fn field(rule: &FieldRule, item: &Value) -> Option<YamlEntry> {
    let value = item.get(rule.command_name).filter(|value| !value.is_null())?;
    let is_said_by_leaving_it_out = match rule.name {
        "mode" => value == "644",
        "merge" => value == "replace",
        _ => rule.presence == FieldPresence::OptionalOrEmpty && is_empty(value),
    };
    (!is_said_by_leaving_it_out).then(|| entry(rule.name, YamlNode::from(value).value))
}

/// Whether a value says nothing: also a mapping in which every value is empty.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn entry(key: &str, value: YamlValue) -> YamlEntry {
    let at = TextPlace::default();
    YamlEntry { key: key.to_owned(), key_at: at, value: YamlNode { value, at } }
}

/// The content as a value where it is the canonical JSON of one, else as text, else in base64.
fn content_entry(bytes: &[u8], media_type: &str) -> YamlEntry {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => match canonical_value(text, media_type) {
            Some(value) => entry("value", value),
            None => entry("content", YamlValue::Text(text.to_owned())),
        },
        _ => {
            let encoded = STANDARD.encode(bytes);
            let lines: Vec<&str> = (0..encoded.len())
                .step_by(BASE64_LINE_CHARS)
                .map(|from| &encoded[from..encoded.len().min(from + BASE64_LINE_CHARS)])
                .collect();
            let text = if lines.len() > 1 { lines.join("\n") + "\n" } else { lines.concat() };
            entry("content_base64", YamlValue::Text(text))
        }
    }
}

fn canonical_value(text: &str, media_type: &str) -> Option<YamlValue> {
    if !media_type.split(';').next()?.trim().eq_ignore_ascii_case("application/json") {
        return None;
    }
    // What is canonical is read by the reader of manifests without a fault, so that nothing is lost on the way back.
    let mut faults = FaultList::new("content".into());
    let mut nodes = yaml_reader::read(text, &mut faults);
    let node = nodes.pop().filter(|_| nodes.is_empty() && faults.is_empty())?;
    (canonical::of(&node) == text).then_some(node.value)
}

fn status_comment(item: &Value) -> String {
    let said = STATUS.iter().filter_map(|name| match item.get(*name)? {
        Value::Null | Value::Bool(false) => None,
        Value::String(text) => Some(format!("{name} {}", terminal::line(text))),
        Value::Bool(true) => Some((*name).to_owned()),
        value => Some(format!("{name} {value}")),
    });
    let said: Vec<String> = said.collect();
    if said.is_empty() { String::new() } else { format!("# {}\n", said.join(", ")) }
}
