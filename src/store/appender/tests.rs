//! Tests of the appender against a store in memory.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

mod append_laws;
mod memory_store;
