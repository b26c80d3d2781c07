//! A node's folder, and the node's ends of the wires.
//!
//! What always holds: nothing runs that was not verified against the pinned key; what is in force stays whole until the next
//! is whole; every file that must survive a kill is written beside its place, synced, and renamed. The folder belongs to one
//! agent at a time.
//!
//! Absent on purpose: what to do (`projections::plan`) and in which order ([`main_loop`]).

pub mod apply_error;
pub mod layout;

pub mod disk;
pub mod folder_lock;
pub mod folder_reader;
pub mod node_folder;
pub mod node_state;

pub mod published_keys;
pub mod record_watch;
pub mod verify;

pub mod fetch;
pub mod switch;
pub mod tree;

pub mod hook;

pub mod collect;

pub mod report;
pub mod report_draft;

pub mod options;

pub mod advice;
pub mod inspection;
pub mod status_text;

pub mod command;
pub mod main_loop;
pub mod runtime;

mod actions;
mod drift;
mod inotify_watch;
mod regular_file;
mod repair_backoff;
mod shell;
