//! Turns OSCAL ids into ids of Headwater.
//!
//! OSCAL's tokens may contain dots and begin with an underscore. Ids of Headwater may not, so that they are safe in NATS
//! subjects, file names and URLs. The OSCAL id is kept as a label, and two that would become one id are refused.

use schema::id::Id;

use super::error::OscalError;

/// Put before an id that would otherwise begin with neither letter nor digit.
const PREFIX: char = 'x';

/// The id for the OSCAL id `original`.
pub(super) fn map_id(original: &str, path: &str) -> Result<String, OscalError> {
    let mut id = original.replace('.', "_");
    if id.starts_with(['_', '-']) {
        id.insert(0, PREFIX);
    }
    match id.parse::<Id>() {
        Ok(_) => Ok(id),
        Err(invalid) => Err(OscalError::Id { path: path.to_owned(), id: original.to_owned(), detail: invalid.detail }),
    }
}
