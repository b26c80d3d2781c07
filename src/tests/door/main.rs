//! The door over a log that is decided and folded by the real engine and held in memory. What Postgres adds to this is
//! tested where Postgres is.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

mod ask;
mod contract;
mod memory;

mod access;
mod answers;
mod bad_input;
mod commanding;
mod compliance;
mod connections;
mod console;
mod costly;
mod differing;
mod explaining;
mod finding;
mod fleet_table;
mod kept;
mod live;
mod planning;
mod proof;
mod proposals;
mod proposing;
mod reading;
mod reference;
mod reverting;
mod rollouts;
mod states;
mod tls;
mod waiting;
