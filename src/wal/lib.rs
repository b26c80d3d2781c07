//! The write-ahead log: the only trigger of everything downstream.
//!
//! - [`slot`]: the replication slot, which is also the lock that makes one relay active.
//! - [`tail`]: whole transactions in commit order, and what may be acknowledged when.
//! - [`decode`]: binary pgoutput as events.
//! - `tunnel`: the way to PostgreSQL over TLS.
//! - [`publication`]: what the publication must let through.
//!
//! An LSN never leaves this folder: what a reader acknowledges is the [`tail::Receipt`] it got with the events, and what
//! it remembers is a position of the log, which survives a restore. Absent on purpose: any memory of progress.

pub mod decode;
mod error;
pub mod publication;
mod session;
pub mod slot;
pub mod tail;
mod tunnel;

pub use error::Error;
pub use tunnel::TunnelError;
