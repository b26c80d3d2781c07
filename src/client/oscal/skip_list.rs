//! The parts of files that have no counterpart in Headwater.
//!
//! Always: each is listed with its kind, id, file, JSON path and reason.

use serde::Serialize;

use super::json_node::Fields;

/// A part of a file that is not imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SkippedItem {
    /// Its kind, in OSCAL's words.
    pub kind: &'static str,
    /// Its id, or that of its owner.
    pub id: String,
    /// The name of its file.
    pub file: String,
    /// Its JSON path.
    pub path: String,
    /// Why it is not imported.
    pub reason: String,
}

/// The skipped parts of all files; those to come belong to `file`.
#[derive(Debug, Default)]
pub(super) struct SkipList {
    /// The name of the file that is read now.
    pub(super) file: String,
    pub(super) list: Vec<SkippedItem>,
}

impl SkipList {
    /// Adds a part.
    pub(super) fn add(&mut self, kind: &'static str, id: &str, path: &str, reason: String) {
        let (id, path) = (id.to_owned(), path.to_owned());
        self.list.push(SkippedItem { kind, id, file: self.file.clone(), path, reason });
    }

    /// Adds every member of an object that was not taken out.
    pub(super) fn add_rest(&mut self, kind: &'static str, id: &str, fields: &Fields<'_>) {
        for (name, path) in fields.rest() {
            self.add(kind, id, &path, format!("Headwater has no place for its `{name}`"));
        }
    }
}
