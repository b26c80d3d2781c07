//! The laws of a runtime, on a real nats-server. The test plays the centre, its claims as well as its records.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

#[path = "../node/agent.rs"]
#[expect(dead_code, reason = "the laws of a node need more of it")]
mod agent;
#[path = "../node/centre.rs"]
#[expect(dead_code, reason = "the laws of a node need more of it")]
mod centre;
#[path = "../node/server.rs"]
#[expect(dead_code, reason = "the laws of a node need more of it")]
mod server;

mod desk;

mod asking;
mod kills;
mod leases;
mod runs;
