//! The agent of one node: it reads desired records from NATS, applies them to the node's folder, and reports.
//!
//! Invariants: nothing runs that the pinned key did not sign; the generation in force stays complete until the next one is
//! complete; every file that must survive a crash is written beside its place, synced and renamed; one agent at a time works in
//! a folder.
//!
//! Not here: which steps a record needs (`projections::plan`).

pub mod apply_error;
pub mod layout;

pub mod disk;
pub mod folder_lock;
pub mod folder_reader;
pub mod node_folder;
pub mod node_state;

pub mod access_note;
pub mod boot_number;
pub mod node_seed;
pub mod outbox;
mod proposal_commands;
pub mod proposal_history;
pub mod proposal_sender;

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
pub mod jobs;
pub mod join;
pub mod main_loop;

mod actions;
mod drift;
mod inotify_watch;
mod regular_file;
mod repair_backoff;
mod shell;
mod turn;
