//! OSCAL's properties as labels.
//!
//! A property `name` of class `class` is the label `name.class`, without a class just `name`. Several of one name and class
//! are one label whose values stand side by side.

use std::collections::BTreeMap;

use super::fault::Fault;
use super::place::Fields;
use super::skipped::Skips;

/// The label that keeps what OSCAL calls a thing.
pub(super) const OSCAL_ID: &str = "oscal-id";

/// Texts by name.
pub(super) type Texts = BTreeMap<String, String>;

/// The properties of something. Its namespace and UUID identify a property and say nothing about its owner.
pub(super) fn of_props(fields: &mut Fields<'_>, owner: &str, skips: &mut Skips) -> Result<Texts, Fault> {
    let mut labels = Texts::new();
    for place in fields.list("props")? {
        let mut prop = place.fields()?;
        let (name, value) = (prop.need("name")?, prop.need("value")?);
        let class = prop.text("class")?.map_or_else(String::new, |class| format!(".{class}"));
        for identity in ["ns", "uuid"] {
            prop.text(identity)?;
        }
        skips.rest("property", owner, &prop);
        add(&mut labels, format!("{name}{class}"), value, ", ");
    }
    Ok(labels)
}

/// Says a text under a name, beside what is said under it already.
pub(super) fn add(texts: &mut Texts, name: String, text: &str, between: &str) {
    match texts.get_mut(&name) {
        None => drop(texts.insert(name, text.to_owned())),
        Some(there) if there.split(between).any(|known| known == text) => {}
        Some(there) => there.extend([between, text]),
    }
}

/// Puts Headwater's own labels over those of the file; a label of the file that has the name of one of them is named.
pub(super) fn with_own(
    mut labels: Texts,
    own: Texts,
    (kind, id, path): (&'static str, &str, &str),
    skips: &mut Skips,
) -> Texts {
    for (name, value) in own {
        if labels.insert(name.clone(), value).is_some() {
            skips.add(kind, id, path, format!("the property `{name}` has the name of a label that the import sets"));
        }
    }
    labels
}
