//! Prints what is wrong with manifests.

use program::output;
use schema::terminal;

use super::error::Error;
use crate::manifest::fault::ManifestFault;

/// Prints each fault on a line of standard error, and gives the error that says how many there are.
pub(crate) fn print_faults(faults: &[ManifestFault]) -> Error {
    faults.iter().for_each(|fault| output::complain(&terminal::line(&fault.to_string())));
    Error::Manifests(faults.len())
}
