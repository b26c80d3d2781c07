//! NIST OSCAL 1.1 in JSON, read into definitions of controls, components, assessments and attestations.
//!
//! Pure: bytes in, a plan out; no file is opened and no server is asked here. Always: the same files give the same plan; each
//! part of a file that has no counterpart in Headwater is listed with its kind, id, JSON path and reason, never dropped
//! silently; a malformed file and two definitions with one id are refused as a whole, with the JSON path. Absent on purpose:
//! profiles (a resolved profile is a catalog), system security plans and assessment results.

pub mod definition;
pub mod document;
pub mod draft;
pub mod error;
pub mod plan;
pub mod skip_list;

mod activity;
mod assessment;
mod catalog;
mod component;
mod id;
mod json_node;
mod labels;
mod parameters;
mod prose;
mod schedule;
mod selection;
mod strict_json;
#[cfg(test)]
mod tests;
