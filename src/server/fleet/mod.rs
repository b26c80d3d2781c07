//! Listens to nodes: their reports, what they prove about the log, and their requests.
//!
//! - [`report_watch`] watches bucket `cfg_reported`; [`listener`] keeps the newest report of each node.
//! - [`report_tracker`] decides which report becomes an event, with `boots` and [`rate_limit`]; `unknown_nodes` counts nodes that are
//!   not enrolled.
//! - `ahead_proofs` keeps what nodes prove: signed records that are newer than those NATS holds for them.
//! - [`standing`] says whether what came in a node's name is the node's, `request_order` whether a request is not an old one.
//! - [`proposal_service`] takes in what nodes propose, as often as `decision_pace` allows; [`proposals`] judges it.
//! - [`rpc_service`] answers the requests of nodes; `rpc_requests` turns each into a command or a query.
//!
//! Absent on purpose: HTTP, and the judgement whether a node converged (`projections::convergence`).

mod ahead_proofs;
mod boots;
mod decision_pace;
pub mod listener;
pub mod proposal_service;
pub mod proposals;
pub mod rate_limit;
pub mod report_tracker;
pub mod report_watch;
pub mod request_order;
pub(crate) mod rpc_requests;
pub mod rpc_service;
pub mod standing;
mod unknown_nodes;
