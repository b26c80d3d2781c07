//! Does it follow again? The memory of Headwater.
//!
//! Whoever reads a log — a server that starts, the relay that joins the write-ahead log, an auditor with a file — reads it
//! through [`log::Follower`], which trusts nothing: identity, order, seals, versions, requests and formats are checked before an
//! event is folded. Over the leaves stands a Merkle [`tree`], whose root a [`checkpoint`] signs; and what was folded before is
//! held against the log when it is folded [`reverify`]. [`explain`] says which events a file or a job follows from, and [`impact`]
//! what a request changed. A message that can't be the log's next event is a [`stray`]. The crate is `no_std`: it compares what it is given, and touches nothing.
#![no_std]

extern crate alloc;

pub mod as_of;
pub mod audit;
pub mod checkpoint;
pub mod event_error;
pub mod explain;
pub mod file;
pub mod finding;
pub mod impact;
pub mod log;
mod references;
pub mod reverify;
pub mod stray;
pub mod tree;
