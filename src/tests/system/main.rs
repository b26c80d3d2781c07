//! The whole of Headwater as real processes on a real PostgreSQL and a real nats-server.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

mod asking;
mod attempts;
mod contents;
mod forged;
mod identities;
mod inputs;
mod late;
mod layers;
mod nats_cluster;
mod not_let_in;
mod pages;
mod proofs;
mod proposing;
mod real_input;
mod rebuild;
mod refusals;
mod rollouts;
mod runtimes;
mod tokens;
mod two_servers;
mod unknown;
mod upgrade;
mod watching;
mod working;
