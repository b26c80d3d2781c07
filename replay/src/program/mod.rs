//! The commands of the auditor's program. Each reads all of its files and verifies them before it prints anything else.

pub(crate) mod content;
pub(crate) mod diff;
pub(crate) mod export_reader;
pub(crate) mod file_audit;
pub(crate) mod history;
pub(crate) mod laws;
pub(crate) mod options;
pub(crate) mod output;
pub(crate) mod rebuild;
pub(crate) mod show;
pub(crate) mod state_at;
pub(crate) mod stats;
pub(crate) mod verify;
pub(crate) mod why;

#[cfg(test)]
mod tests;
