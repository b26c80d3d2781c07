//! OSCAL properties as labels.
//!
//! A property `name` of class `class` is the label `name.class`, without a class just `name`. Several of one name and class
//! are one label whose values are joined.

use std::collections::BTreeMap;

use super::error::OscalError;
use super::json_node::Fields;
use super::skip_list::SkipList;

/// The label with the OSCAL id.
pub(super) const OSCAL_ID: &str = "oscal-id";

/// Texts by name.
pub(super) type TextMap = BTreeMap<String, String>;

/// Reads the properties of `owner`. Namespace and UUID of a property say nothing about the owner.
pub(super) fn read_props(fields: &mut Fields<'_>, owner: &str, skips: &mut SkipList) -> Result<TextMap, OscalError> {
    let mut labels = TextMap::new();
    for node in fields.list("props")? {
        let mut prop = node.fields()?;
        let (name, value) = (prop.need("name")?, prop.need("value")?);
        let class = prop.text("class")?.map_or_else(String::new, |class| format!(".{class}"));
        for identity in ["ns", "uuid"] {
            prop.text(identity)?;
        }
        skips.add_rest("property", owner, &prop);
        append_text(&mut labels, format!("{name}{class}"), value, ", ");
    }
    Ok(labels)
}

/// Adds a text under a name, joined to what is there.
pub(super) fn append_text(texts: &mut TextMap, name: String, text: &str, between: &str) {
    match texts.get_mut(&name) {
        None => drop(texts.insert(name, text.to_owned())),
        Some(existing) if existing.split(between).any(|one| one == text) => {}
        Some(existing) => existing.extend([between, text]),
    }
}

/// Adds the labels that the import sets. A label of the file with the same name is overwritten and listed as skipped.
pub(super) fn with_import_labels(
    mut labels: TextMap,
    own: TextMap,
    (kind, id, path): (&'static str, &str, &str),
    skips: &mut SkipList,
) -> TextMap {
    for (name, value) in own {
        if labels.insert(name.clone(), value).is_some() {
            skips.add(kind, id, path, format!("the property `{name}` has the name of a label that the import sets"));
        }
    }
    labels
}
