//! The server of a log, and the commands that its operator runs with access to PostgreSQL.
//!
//! - [`serve`] starts the parts below, stops them, and says whether the server is ready.
//! - [`http`] answers people and programs; [`fleet`] listens to nodes.
//! - [`admission`] says who may come into NATS, cuts the connections of those who may not any more, and lets nodes join.
//! - [`relay`] carries the write-ahead log into NATS through [`publish`]; [`reconciler`] turns reports and silence into commands.
//! - [`event_log`] is what `http` and `fleet` need of the log; [`adapters`] implements it. `continuity` decides whether the log goes on
//!   from what was published and signed of it.
//! - [`bus_init`], [`install`], [`recover`], [`export`] and [`token_reset`] are commands of the operator; [`config`] is the settings that they share,
//!   [`backend`] their errors of PostgreSQL and NATS, with exit codes.
//!
//! Absent on purpose: SQL (`store`, `wal`), an LSN (`wal`), axum outside of [`http`].

pub mod adapters;
pub mod admission;
pub mod backend;
pub mod bus_init;
pub mod config;
mod continuity;
pub mod event_log;
pub mod export;
pub mod fleet;
pub mod http;
pub mod install;
mod proposal_end;
pub mod publish;
pub mod reconciler;
pub mod recover;
pub mod relay;
pub mod serve;
pub mod token_reset;
