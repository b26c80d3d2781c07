//! The runtime of a node: it claims jobs, and runs each when it is due.
//!
//! What always holds: a command starts only while the lease of its job lasts, as the node's own clock measures it from when
//! the lease was asked for, and is killed when that ends; what runs is a spec that was signed, and whose digest is the
//! claim's; what a command came to is on disk before the centre is told, and told until it answers.
//!
//! Absent on purpose: who gets which job (the log decides), and what lies in the tree (the agent's).

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
