//! OSCAL's ids as Headwater's.
//!
//! OSCAL's tokens may hold dots and begin with an underscore; ids here may not, so that they are safe as a subject, a file
//! name and a URL at once. The original is kept beside the id, and two that would become one are found where ids meet.

use schema::id::Id;

use super::fault::Fault;

/// What stands before an id that would otherwise begin with neither letter nor digit.
const BEFORE: char = 'x';

/// The id of what OSCAL calls `original`.
pub(super) fn mapped(original: &str, path: &str) -> Result<String, Fault> {
    let mut id = original.replace('.', "_");
    if id.starts_with(['_', '-']) {
        id.insert(0, BEFORE);
    }
    match id.parse::<Id>() {
        Ok(_) => Ok(id),
        Err(invalid) => Err(Fault::Id { path: path.to_owned(), id: original.to_owned(), detail: invalid.detail }),
    }
}
