//! A whole file: finds out which OSCAL document it is, and reads it.
//!
//! Always: one document of a file is read, and members beside it are listed as skipped; a document of another major version of
//! OSCAL, whose names may mean something else, is refused.

use serde_json::Value;

use super::draft::ImportDraft;
use super::error::OscalError;
use super::json_node::{JsonNode, type_name};
use super::{assessment, catalog, component, strict_json};

/// Adds the definitions of a file to a draft; `file` is its name for people.
///
/// # Errors
/// If the file is not valid, or contradicts one that was read before. Then the draft must not be used any more.
pub fn read(file: &str, bytes: &[u8], draft: &mut ImportDraft) -> Result<(), OscalError> {
    file.clone_into(&mut draft.skips.file);
    let value = strict_json::read(bytes)?;
    let Value::Object(members) = &value else {
        return Err(OscalError::NotOscal { found: type_name(&value).to_owned() });
    };
    let known = ["catalog", "component-definition", "assessment-plan"];
    let Some((name, inner)) = members.iter().find(|(name, _)| known.contains(&name.as_str())) else {
        let names: Vec<&str> = members.keys().map(String::as_str).collect();
        return Err(OscalError::NotOscal { found: format!("an object of `{}`", names.join("`, `")) });
    };
    for other in members.keys().filter(|other| *other != name) {
        draft.skips.add("file", file, other, format!("`{other}` beside `{name}` has no place in Headwater"));
    }
    let top = JsonNode::top(name, inner);
    expect_version(&top)?;
    match name.as_str() {
        "catalog" => catalog::read(&top, draft),
        "component-definition" => component::read(&top, draft),
        _ => assessment::read(&top, draft),
    }
}

/// Refuses other major versions of OSCAL.
fn expect_version(top: &JsonNode<'_>) -> Result<(), OscalError> {
    let Some(mut metadata) = top.fields()?.object("metadata")? else { return Ok(()) };
    match metadata.text("oscal-version")? {
        Some(version) if version.strip_prefix('v').unwrap_or(version).split('.').next() != Some("1") => {
            Err(OscalError::NotOscal { found: format!("OSCAL {version}; this program reads OSCAL 1") })
        }
        _ => Ok(()),
    }
}
