//! NIST OSCAL 1.1 in JSON, read into definitions of controls, components, assessments and attestations.
//!
//! Pure: bytes in, a plan out; no file is opened and no door is asked here. Always: the same files give the same plan; what
//! a file says and Headwater has no place for is named with its kind, id, JSON path and reason, never dropped silently; what
//! contradicts itself (a malformed file, two things that would have one id) is refused as a whole, with its JSON path.
//! Absent on purpose: profiles (a resolved profile is a catalog), system security plans and assessment results.

pub mod definition;
pub mod document;
pub mod draft;
pub mod fault;
pub mod plan;
pub mod skipped;

mod activity;
mod assessment;
mod catalog;
mod component;
mod id;
mod labels;
mod param;
mod place;
mod prose;
mod schedule;
mod scope;
mod strict;
#[cfg(test)]
mod tests;
