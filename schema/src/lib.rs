//! What can be said: the nouns of Headwater.
//!
//! Ids, positions, commands, events, documents, records on the wire, their names and their bytes. Nothing here decides,
//! waits or touches; the only way to fail is to read bytes that say nothing valid. The crate is `no_std`, so a clock,
//! a file, a socket or a randomly seeded map does not compile in it.
//!
//! The modules stand in the order in which data visits them: what a person sends, what the log keeps, what a node
//! receives, what a node answers, and where each of these is found.
#![no_std]

extern crate alloc;

#[macro_use]
mod registry;

pub mod invalid;
pub mod json;
pub mod terminal;

pub mod digest;
pub mod entity;
pub mod id;
pub mod instant;
pub mod limit;
pub mod path;
pub mod position;
pub mod schedule;
pub mod target;
pub mod variant;

pub mod compliance;
pub mod lease;

pub mod answer;
pub mod command;
pub mod request;

pub mod canonical;
pub mod change;
pub mod event;
pub mod event_table;

pub mod desired;
pub mod report;
pub mod seal;

pub mod rpc;

pub mod address;
pub mod wire;
