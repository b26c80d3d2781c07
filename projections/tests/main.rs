//! The laws of decide, fold, render and plan.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

mod bundles;
mod claims;
mod difference;
mod outcome;
mod plain_contents;
mod plain_fleet;
mod plan;
mod properties;
mod rollouts;
mod scenarios;

/// How many histories a property tries: in `make test`, and in the long form of the faults (`make faults`).
fn cases(short: u32, long: u32) -> u32 {
    if std::env::var_os("FAULT_FORM").is_some_and(|form| form == "long") { long } else { short }
}
