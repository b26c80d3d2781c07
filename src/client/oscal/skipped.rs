//! What a file says and Headwater has no place for.
//!
//! Always: each is named with its kind, id, file, JSON path and reason; nothing is left out without one.

use serde::Serialize;

use super::place::Fields;

/// Something in a file that Headwater has no place for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// What sort of thing, in OSCAL's words.
    pub kind: &'static str,
    /// Its id, or that of what it belongs to.
    pub id: String,
    /// In which file.
    pub file: String,
    /// Its JSON path.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// What is left out of the file that is being read.
#[derive(Debug, Default)]
pub(super) struct Skips {
    /// The name of that file.
    pub(super) file: String,
    pub(super) list: Vec<Skipped>,
}

impl Skips {
    /// Names something.
    pub(super) fn add(&mut self, kind: &'static str, id: &str, path: &str, reason: String) {
        let (id, path) = (id.to_owned(), path.to_owned());
        self.list.push(Skipped { kind, id, file: self.file.clone(), path, reason });
    }

    /// Names every member of something that nobody took.
    pub(super) fn rest(&mut self, kind: &'static str, id: &str, fields: &Fields<'_>) {
        for (name, path) in fields.rest() {
            self.add(kind, id, &path, format!("Headwater has no place for its `{name}`"));
        }
    }
}
