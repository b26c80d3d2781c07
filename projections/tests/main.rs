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
