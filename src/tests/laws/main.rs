//! Laws that need no server of Headwater's: of the code and its dependencies, of what is deployed, and of bytes from outside.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

mod architecture;
mod console;
mod dependencies;
mod docker;
mod documents;
mod operators;
mod oscal;
mod outside;
mod promises;
