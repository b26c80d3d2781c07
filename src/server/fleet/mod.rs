//! Where the server hears nodes: their reports, what they prove about the log, and what they ask.
//!
//! - [`listener`] watches bucket `cfg_reported` and keeps what each node said last.
//! - [`report_tracker`] decides which report becomes an event, with `boots` and [`rate_limit`]; `unknown_nodes` keeps those that
//!   the log does not know.
//! - `ahead_proofs` keeps signed records that a node holds and that are newer than those NATS holds for it.
//! - [`rpc_service`] answers the requests of nodes; `rpc_requests` says which command each of them is.
//!
//! Absent on purpose: HTTP, and the judgement whether a node converged (`projections::convergence`).

mod ahead_proofs;
mod boots;
pub mod listener;
pub mod rate_limit;
pub mod report_tracker;
mod rpc_requests;
pub mod rpc_service;
mod unknown_nodes;
