//! A node's folder, and the node's ends of the wires.
//!
//! What always holds: nothing runs that was not verified against the pinned key; what is in force stays whole until the next
//! is whole; every file that must survive a kill is written beside its place, synced, and renamed. The folder belongs to one
//! agent at a time.
//!
//! Absent on purpose: what to do (`projections::plan`) and in which order ([`edge`]).

pub mod fault;
pub mod layout;

pub mod disk;
pub mod lock;
pub mod recall;
pub mod state;
pub mod store;

pub mod keys;
pub mod verify;
pub mod watch;

pub mod fetch;
pub mod switch;
pub mod tree;

pub mod hook;

pub mod collect;

pub mod report;
pub mod status;

pub mod options;

pub mod advice;
pub mod survey;
pub mod words;

pub mod command;
pub mod edge;
pub mod runtime;

mod agent;
mod notice;
mod regular;
mod repairs;
mod shell;
mod upkeep;
