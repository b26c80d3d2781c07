//! A whole file: which of OSCAL's documents it is, and its reader.
//!
//! Always: one document of a file is read and whatever stands beside it is named; a document of another major version of OSCAL,
//! whose names may mean something else, is refused.

use serde_json::Value;

use super::draft::Draft;
use super::fault::Fault;
use super::place::{Place, sort};
use super::{assessment, catalog, component, strict};

/// Adds what a file says to a draft; `file` is its name for people.
///
/// # Errors
/// If it can't be read, or contradicts what was read before. Then the draft is of no further use.
pub fn read(file: &str, bytes: &[u8], draft: &mut Draft) -> Result<(), Fault> {
    file.clone_into(&mut draft.skips.file);
    let value = strict::read(bytes)?;
    let Value::Object(members) = &value else {
        return Err(Fault::NotOscal { found: sort(&value).to_owned() });
    };
    let known = ["catalog", "component-definition", "assessment-plan"];
    let Some((name, inner)) = members.iter().find(|(name, _)| known.contains(&name.as_str())) else {
        let names: Vec<&str> = members.keys().map(String::as_str).collect();
        return Err(Fault::NotOscal { found: format!("an object of `{}`", names.join("`, `")) });
    };
    for other in members.keys().filter(|other| *other != name) {
        draft.skips.add("file", file, other, format!("`{other}` beside `{name}` has no place in Headwater"));
    }
    let top = Place::top(name, inner);
    expect_version(&top)?;
    match name.as_str() {
        "catalog" => catalog::read(&top, draft),
        "component-definition" => component::read(&top, draft),
        _ => assessment::read(&top, draft),
    }
}

/// Refuses a version of OSCAL that may mean something else by the same names.
fn expect_version(top: &Place<'_>) -> Result<(), Fault> {
    let Some(mut metadata) = top.fields()?.object("metadata")? else { return Ok(()) };
    match metadata.text("oscal-version")? {
        Some(version) if version.strip_prefix('v').unwrap_or(version).split('.').next() != Some("1") => {
            Err(Fault::NotOscal { found: format!("OSCAL {version}; this program reads OSCAL 1") })
        }
        _ => Ok(()),
    }
}
