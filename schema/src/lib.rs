//! The shared vocabulary of Headwater: ids, positions, commands, events, records and their bytes.
//!
//! Nothing here decides, waits or does I/O; the only failure is reading invalid bytes. The crate is `no_std`, so a clock,
//! a file, a socket or a randomly seeded map does not compile in it.
//!
//! The modules follow the path of data: a person's request, the event in the log, the desired record of a node, the
//! node's report, and the names in NATS and PostgreSQL where each is found.
#![no_std]

extern crate alloc;

#[macro_use]
mod registry;

pub mod invalid;
pub mod join;
pub mod json;
pub mod terminal;
mod text_form;

pub mod digest;
pub mod document_mode;
pub mod entity;
pub mod id;
pub mod instant;
pub mod labels;
pub mod limit;
pub mod node_keys;
pub mod object;
pub mod path;
pub mod permissions;
pub mod position;
pub mod say;
pub mod schedule;
pub mod target;
pub mod variant;

pub mod bundle;
pub mod compliance;
pub mod lease;
pub mod proposal;
pub mod rollout;

pub mod answer;
pub mod command;
pub mod request;

pub mod canonical;
pub mod change;
pub mod event;
mod event_data;
pub mod event_table;
pub mod plan;

pub mod convergence;
pub mod desired;
pub mod report;
pub mod seal;

pub mod proposal_message;
pub mod rpc;

#[cfg(feature = "json-schema")]
mod json_schema;

pub mod address;
pub mod wire;
