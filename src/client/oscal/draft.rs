//! The definitions of the files that were read so far, and what was skipped.
//!
//! Always: no two definitions of one kind have one id, and none is larger than an event may be.

use std::collections::BTreeMap;

use schema::limit::EVENT_DATA_BYTES_MAX;

use super::definition::{DefinitionKind, OscalDefinition};
use super::error::OscalError;
use super::skip_list::SkipList;

/// The definitions that were read so far.
#[derive(Debug)]
pub struct ImportDraft {
    pub(super) definitions: Vec<OscalDefinition>,
    /// By kind and id, the index in `definitions`.
    index: BTreeMap<(DefinitionKind, String), usize>,
    pub(super) skips: SkipList,
    /// The schedule of assessments that have none.
    pub(super) schedule: String,
}

impl ImportDraft {
    /// An empty draft; `schedule` is for assessments whose plan has none.
    #[must_use]
    pub fn new(schedule: impl Into<String>) -> Self {
        Self { definitions: Vec::new(), index: BTreeMap::new(), skips: SkipList::default(), schedule: schedule.into() }
    }

    /// The last kind that a definition has.
    #[must_use]
    pub fn last_kind(&self) -> Option<DefinitionKind> {
        self.definitions.iter().map(|definition| definition.kind).max()
    }

    /// Adds a definition. The same definition in two files counts once.
    pub(super) fn push(&mut self, definition: OscalDefinition) -> Result<(), OscalError> {
        let definition = OscalDefinition { file: self.skips.file.clone(), ..definition };
        let (kind, path) = (definition.kind.name(), definition.path.clone());
        let bytes = serde_json::to_string(&definition.command).map_or(usize::MAX, |text| text.len());
        if bytes > EVENT_DATA_BYTES_MAX {
            return Err(OscalError::TooLarge { path, kind, id: definition.id, bytes });
        }
        let key = (definition.kind, definition.id.clone());
        let Some(first) = self.index.get(&key).map(|index| &self.definitions[*index]) else {
            self.index.insert(key, self.definitions.len());
            self.definitions.push(definition);
            return Ok(());
        };
        if first.original == definition.original && first.command == definition.command && first.file != definition.file
        {
            return Ok(());
        }
        let first = if first.file == definition.file { first.path.clone() } else { first.place() };
        Err(OscalError::Clash { path, kind, id: definition.id, first })
    }
}
