//! What files come to: definitions in the order in which they can be made, and what was left out.
//!
//! Always: whatever a definition refers to stands before it or is there already.

use std::collections::BTreeSet;

use super::definition::{Item, Kind};
use super::draft::Draft;
use super::skipped::{Skipped, Skips};

/// What there is already, by kind and id.
pub type Known = BTreeSet<(Kind, String)>;

/// All that is to be defined, each after what it refers to.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The definitions.
    pub items: Vec<Item>,
    /// What is left out.
    pub skipped: Vec<Skipped>,
}

impl Plan {
    /// Orders it all, and leaves out what refers to something that is neither in the files nor `known`.
    #[must_use]
    pub fn of(draft: Draft, known: &Known) -> Self {
        let Draft { mut items, mut skips, .. } = draft;
        items.sort_by_key(|item| item.kind);
        let mut there = known.clone();
        let mut kept = Vec::with_capacity(items.len());
        for mut item in items {
            skips.file.clone_from(&item.file);
            if settle(&mut item, &there, &mut skips) {
                there.insert((item.kind, item.id.clone()));
                kept.push(item);
            }
        }
        Self { items: kept, skipped: skips.list }
    }
}

/// Lets go of what is not there; whether the definition can stand.
fn settle(item: &mut Item, there: &Known, skips: &mut Skips) -> bool {
    let mut stands = true;
    for need in &item.needs {
        if there.contains(&(need.kind, need.id.clone())) {
            continue;
        }
        let what = format!("{} that is neither in these files nor at the door", need.kind.name());
        let Some(list) = need.field.and_then(|field| item.command.get_mut(field)?.as_array_mut()) else {
            skips.add(item.kind.name(), &item.id, &need.path, format!("needs a {what}: {}", need.id));
            stands = false;
            continue;
        };
        list.retain(|id| id.as_str() != Some(&need.id));
        skips.add("reference", &item.id, &need.path, format!("names a {what}: {}", need.id));
        // No components would be all of them.
        if list.is_empty() && item.kind == Kind::Assessment {
            skips.add(item.kind.name(), &item.id, &item.path, "none of its components is there".to_owned());
            stands = false;
        }
    }
    stands
}
