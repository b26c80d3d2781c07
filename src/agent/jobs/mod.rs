//! The assessment runtime of a node: it claims jobs, and runs each when it is due.
//!
//! Invariants: a command starts only while the lease of its job lasts, counted by the node's own clock from the request for the
//! lease, and is killed before the lease ends; the spec that runs was signed and has the claim's digest; an outcome is on disk
//! before it is sent, and is sent until the server answers.
//!
//! Not here: which runtime gets which job (the log decides), and what lies in the tree (the agent writes it).

pub mod claim_service;
pub mod lease;
pub mod runtime_settings;
pub mod schedule;

pub mod job_spec;
pub mod runtime_state;

pub mod command;
pub mod rpc_client;

pub mod job_runtime;

mod held_jobs;
