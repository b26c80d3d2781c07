//! Laws of the program as a client: against a door that is none, on a terminal, and with an output that can't be written.
//! No server of Headwater's is started.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

mod server;

mod broken;
mod fresh;
mod printed;
mod selected;
mod unwritable;
