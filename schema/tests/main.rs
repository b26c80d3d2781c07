//! The laws of what can be said: bytes, names and limits.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

mod codecs;
mod compliance;
mod golden;
mod limits;
mod proposals;
mod refusals;
mod rpc;
mod versions;
mod wire_value;
