//! NATS: the connection, with TLS where it leaves this machine, and reading objects.
//!
//! Invariants: every request has a deadline; reading an object creates no consumer.
//!
//! Who may do what: [`accounts`] is what nats-server is told of it, [`bus_folder`] keeps the keys of the servers, [`identity`] is a key to
//! connect with, [`nkey`] the text of keys.
//!
//! Not here: publishing (`src/server/publish`), names and permissions (`schema`), and watches of buckets. The agent hears its own record
//! and reads it after each reconnect; the server's listener watches a whole bucket and restarts after 15 s of silence. They have no loop
//! in common.

pub mod accounts;
pub mod bus_folder;
pub mod connect;
pub mod identity;
pub mod nkey;
pub mod objects;
pub mod options;
pub mod transport;

mod client_identity;
mod connection_status;
