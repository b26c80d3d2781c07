//! The laws of an export and of its reading.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

mod batching;
mod checkpoint;
mod follower;
mod golden;
mod impact;
mod limits;
mod orders;
mod reverify;
mod rollout_laws;
mod scenarios;
mod stranger;
mod stray;
mod tree;
mod why;
