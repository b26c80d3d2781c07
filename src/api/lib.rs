//! The HTTP contract as types: what the server writes and its clients read, declared once.
//!
//! - [`error_code`] and [`problem`]: every error is a problem document (RFC 9457) with a stable code.
//! - [`path`], [`query`], [`header`] and [`media_type`]: the names on the wire that both sides spell.
//! - The other modules are answers, by what they are about. The answer to `POST /v1/commands` is [`schema::answer::Answer`].
//!
//! Each answer derives its JSON Schema, from which the server makes the OpenAPI document. A doc line is a description there.
//!
//! Absent on purpose: a clock, a file and a socket (the crate is `no_std`), any framework of the server or the client, and types
//! that only one side uses.

#![no_std]

extern crate alloc;

pub mod error_code;
pub mod header;
pub mod media_type;
pub mod path;
pub mod problem;
pub mod query;

pub mod page;

pub mod bundle;
pub mod compliance;
pub mod contents;
pub mod diff;
pub mod document;
pub mod dry_run;
pub mod event;
pub mod fleet;
pub mod fleet_table;
pub mod health;
pub mod impact;
pub mod job;
pub mod join_token;
pub mod log;
pub mod node;
pub mod principal;
pub mod proof;
pub mod proposal;
pub mod revert;
pub mod rollout;
pub mod rollout_preview;
pub mod search;
pub mod why;
