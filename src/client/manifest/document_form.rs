//! Manifests of documents: the content from one of four fields, and the media type if it is not given.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schema::command::Content;
use serde_json::{Map, Value};

use super::attached_file::{self, AttachedFile, ManifestFolder};
use super::canonical;
use super::declared::DeclaredEntity;
use super::entity_form::{declared, fields};
use super::fault::FaultList;
use super::kind::ManifestKind;
use super::yaml_node::{YamlEntry, YamlNode};

/// The fields of which a document has exactly one.
const CONTENT_FIELDS: [&str; 4] = ["value", "content", "content_base64", "file"];

/// A document.
pub(super) fn read(
    node: &YamlNode,
    defaults: &Map<String, Value>,
    folder: &ManifestFolder,
    faults: &mut FaultList,
) -> Option<DeclaredEntity> {
    let checked = fields(node, ManifestKind::Document.fields(), defaults, faults);
    let content = content(node, folder, faults);
    let (mut fields, file) = (checked?, content?);
    CONTENT_FIELDS.iter().for_each(|name| drop(fields.remove(*name)));
    let content = match Content::new(file.bytes) {
        Ok(content) => content,
        Err(refused) => {
            faults.add(node.at, refused.code, refused.detail);
            return None;
        }
    };
    if !fields.contains_key("media_type") {
        let name = node.text_of("file").or_else(|| node.text_of("path")).unwrap_or_default();
        let media_type = match node.member("value") {
            Some(_) => "application/json",
            None => media_type(name, content.bytes()),
        };
        fields.insert("media_type".to_owned(), media_type.into());
    }
    set_mode(&mut fields, file.is_executable);
    let entity = declared(ManifestKind::Document, fields, faults, node.at);
    Some(DeclaredEntity { content: Some(content), ..entity })
}

/// Keeps the mode only where it is not the usual one, so that a server that knows no modes reads all else.
pub(super) fn set_mode(fields: &mut Map<String, Value>, is_executable: bool) {
    match fields.get("mode").and_then(Value::as_str) {
        Some("644") => drop(fields.remove("mode")),
        None if is_executable => drop(fields.insert("mode".to_owned(), "755".into())),
        _ => {}
    }
}

fn content(node: &YamlNode, folder: &ManifestFolder, faults: &mut FaultList) -> Option<AttachedFile> {
    let mut given = CONTENT_FIELDS.iter().filter_map(|name| node.member(name));
    let Some(entry) = given.next() else {
        faults.add(node.at, "missing_field", format!("one of {} is needed", CONTENT_FIELDS.join(", ")));
        return None;
    };
    if let Some(second) = given.next() {
        let detail = format!("`{}` and `{}` exclude each other", entry.key, second.key);
        faults.add(second.key_at, "invalid_value", detail);
        return None;
    }
    let plain = |bytes| AttachedFile { bytes, is_executable: false };
    let text = || entry.value.text();
    match entry.key.as_str() {
        "value" => Some(plain(canonical::of(&entry.value).into_bytes())),
        "content" => Some(plain(text()?.as_bytes().to_vec())),
        "content_base64" => decoded(entry, text()?, faults).map(plain),
        _ => {
            let read = folder.resolve(text()?).and_then(|path| attached_file::read_content(&path));
            read.map_err(|fault| faults.add(entry.value.at, fault.code, fault.detail)).ok()
        }
    }
}

/// Base64 may be broken into lines.
fn decoded(entry: &YamlEntry, text: &str, faults: &mut FaultList) -> Option<Vec<u8>> {
    let text: String = text.chars().filter(|next| !next.is_ascii_whitespace()).collect();
    let decoded = STANDARD.decode(text);
    decoded.map_err(|error| faults.add(entry.value.at, "invalid_value", format!("this is not base64: {error}"))).ok()
}

/// The media type by the end of the name; what is no text is `application/octet-stream` whatever its name.
pub(super) fn media_type(name: &str, bytes: &[u8]) -> &'static str {
    let file = name.rsplit('/').next().unwrap_or_default();
    let extension = file.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match (extension.as_deref(), std::str::from_utf8(bytes)) {
        (_, Err(_)) => "application/octet-stream",
        (Some("json"), _) => "application/json",
        (Some("yaml" | "yml"), _) => "application/yaml",
        (Some("toml"), _) => "application/toml",
        (Some("xml"), _) => "application/xml",
        (Some("csv"), _) => "text/csv",
        (Some("html" | "htm"), _) => "text/html",
        (Some("md"), _) => "text/markdown",
        _ => "text/plain",
    }
}
