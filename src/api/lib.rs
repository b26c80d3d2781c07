//! The HTTP contract as types: what the server writes and its clients read, declared once.
//!
//! - [`error_code`] and [`problem`]: every error is a problem document (RFC 9457) with a stable code.
//! - [`path`], [`query`], [`header`] and [`media_type`]: the names on the wire that both sides spell.
//! - [`page`], [`log`] and [`principal`]: answers. The answer to `POST /v1/commands` is [`schema::answer::Answer`].
//!
//! Absent on purpose: a clock, a file and a socket (the crate is `no_std`), any framework of the server or the client, and types
//! that only one side uses.

#![no_std]

extern crate alloc;

pub mod error_code;
pub mod header;
pub mod log;
pub mod media_type;
pub mod page;
pub mod path;
pub mod principal;
pub mod problem;
pub mod query;
