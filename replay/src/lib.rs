//! Reading and verifying a log.
//!
//! Every reader of a log (a starting server, the relay, an auditor with a file) reads it through [`log::Follower`], which
//! trusts nothing: identity, order, seals, versions, requests and formats are checked before an event is folded. Over the
//! leaves stands a Merkle [`tree`], whose root a [`checkpoint`] signs. [`reverify`] folds the log again and compares it with
//! the live state. [`explain`] names the events that a file or a job follows from, [`node_history`] those that concern a node, and
//! [`rollout_laws`] says whether rollouts kept their rules, and
//! [`stray`] tells whether a message can be the log's next event. The crate is `no_std` and does no I/O.
#![no_std]

extern crate alloc;

pub mod as_of;
pub mod audit;
pub mod checkpoint;
pub mod event_error;
pub mod explain;
pub mod file;
pub mod finding;
pub mod log;
pub mod node_history;
mod plan_check;
mod references;
pub mod reverify;
pub mod rollout_laws;
pub mod stray;
pub mod tree;
