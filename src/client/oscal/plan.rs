//! The result of reading files: definitions in the order in which they can be made, and what was skipped.
//!
//! Always: every reference of a definition is to an earlier one, or to one that the server has.

use std::collections::BTreeSet;

use super::definition::{DefinitionKind, OscalDefinition};
use super::draft::ImportDraft;
use super::skip_list::{SkipList, SkippedItem};

/// Kinds and ids of the definitions on the server.
pub type KnownIds = BTreeSet<(DefinitionKind, String)>;

/// All definitions, each after those that it refers to.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportPlan {
    /// In the order in which they can be made.
    pub definitions: Vec<OscalDefinition>,
    /// Parts of the files that are not imported.
    pub skipped: Vec<SkippedItem>,
}

impl ImportPlan {
    /// Orders the definitions, and resolves references to the files and to `known`.
    #[must_use]
    pub fn of(draft: ImportDraft, known: &KnownIds) -> Self {
        let ImportDraft { mut definitions, mut skips, .. } = draft;
        definitions.sort_by_key(|definition| definition.kind);
        let mut existing = known.clone();
        let mut kept = Vec::with_capacity(definitions.len());
        for mut definition in definitions {
            skips.file.clone_from(&definition.file);
            if resolve_references(&mut definition, &existing, &mut skips) {
                existing.insert((definition.kind, definition.id.clone()));
                kept.push(definition);
            }
        }
        Self { definitions: kept, skipped: skips.list }
    }
}

/// Removes references to definitions that do not exist; false if the definition has to be skipped for one of them.
fn resolve_references(definition: &mut OscalDefinition, existing: &KnownIds, skips: &mut SkipList) -> bool {
    let mut is_kept = true;
    for reference in &definition.references {
        if existing.contains(&(reference.kind, reference.id.clone())) {
            continue;
        }
        let what = format!("{} that is neither in these files nor on the server", reference.kind.name());
        let Some(list) = reference.field.and_then(|field| definition.command.get_mut(field)?.as_array_mut()) else {
            skips.add(
                definition.kind.name(),
                &definition.id,
                &reference.path,
                format!("needs a {what}: {}", reference.id),
            );
            is_kept = false;
            continue;
        };
        list.retain(|id| id.as_str() != Some(&reference.id));
        skips.add("reference", &definition.id, &reference.path, format!("names a {what}: {}", reference.id));
        // An assessment without components would be one of all components.
        if list.is_empty() && definition.kind == DefinitionKind::Assessment {
            skips.add(
                definition.kind.name(),
                &definition.id,
                &definition.path,
                "none of its components is there".to_owned(),
            );
            is_kept = false;
        }
    }
    is_kept
}
