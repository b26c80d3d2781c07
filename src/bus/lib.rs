//! NATS: the connection, with TLS where it leaves this machine, and reading objects.
//!
//! Invariants: every request has a deadline; reading an object creates no consumer.
//!
//! Not here: publishing (`src/server/publish`), names (`schema::address`), and watches of buckets. The agent's watch has a named
//! consumer with its key in the subject, so that a permission can restrict it, and restarts after each reconnect; the server's
//! listener watches a whole bucket and restarts after 15 s of silence. They have no loop in common.

pub mod connect;
pub mod objects;
pub mod options;
pub mod transport;

mod connection_status;
