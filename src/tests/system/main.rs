//! The whole of Headwater as real processes on a real PostgreSQL and a real nats-server.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

mod asker;
mod asking;
#[path = "../auditor.rs"]
mod auditor;
mod contents;
mod disk;
mod door;
mod eventually;
#[expect(dead_code, reason = "shared with the faults, which use the rest")]
mod fleet;
mod forged;
mod ground;
mod inputs;
mod late;
mod law;
mod layers;
mod load;
mod proofs;
mod real_input;
mod rebuild;
mod refusals;
mod runtimes;
mod tokens;
mod two_servers;
mod unknown;
mod watching;
mod working;
