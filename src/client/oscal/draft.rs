//! What has been read so far: the definitions of all files, and what was left out of them.
//!
//! Always: no two definitions of one kind have one id, and none is larger than an event may be.

use std::collections::BTreeMap;

use schema::limit::EVENT_DATA_BYTES_MAX;

use super::definition::{Item, Kind};
use super::fault::Fault;
use super::skipped::Skips;

/// What has been read so far.
#[derive(Debug)]
pub struct Draft {
    pub(super) items: Vec<Item>,
    /// By kind and id, which of them.
    index: BTreeMap<(Kind, String), usize>,
    pub(super) skips: Skips,
    /// When assessments are due that say nothing of it.
    pub(super) schedule: String,
}

impl Draft {
    /// Nothing yet. Assessments whose plan does not say when they are due are due by `schedule`.
    #[must_use]
    pub fn new(schedule: impl Into<String>) -> Self {
        Self { items: Vec::new(), index: BTreeMap::new(), skips: Skips::default(), schedule: schedule.into() }
    }

    /// The last kind of which anything is defined.
    #[must_use]
    pub fn last_kind(&self) -> Option<Kind> {
        self.items.iter().map(|item| item.kind).max()
    }

    /// Adds a definition. The same one in two files is one.
    pub(super) fn push(&mut self, item: Item) -> Result<(), Fault> {
        let item = Item { file: self.skips.file.clone(), ..item };
        let (kind, path) = (item.kind.name(), item.path.clone());
        let bytes = serde_json::to_string(&item.command).map_or(usize::MAX, |text| text.len());
        if bytes > EVENT_DATA_BYTES_MAX {
            return Err(Fault::TooLarge { path, kind, id: item.id, bytes });
        }
        let key = (item.kind, item.id.clone());
        let Some(first) = self.index.get(&key).map(|index| &self.items[*index]) else {
            self.index.insert(key, self.items.len());
            self.items.push(item);
            return Ok(());
        };
        if first.original == item.original && first.command == item.command && first.file != item.file {
            return Ok(());
        }
        let first = if first.file == item.file { first.path.clone() } else { first.place() };
        Err(Fault::Clash { path, kind, id: item.id, first })
    }
}
