//! What the tests on real servers share: PostgreSQL and NATS of their own, a fleet of real processes, a load, and checks
//! that share no code with what they check.
//!
//! - [`backends`], [`cluster`], [`nats`] and [`nats_cluster`]: servers for one test; [`proxy`]: a way to PostgreSQL that breaks where it is told;
//!   [`raw_nats`]: a client of NATS that says what it likes
//! - [`fleet`]: `install`, `serve` and `edge` as processes; [`programs`]: where those lie
//! - [`http_api`] and [`asker`]: the callers' side of HTTP and of NATS; [`load`]: many callers at once
//! - [`agent`] and [`fake_server`]: one agent, and a test in the part of the servers
//! - [`certificates`]: a CA, a certificate with its files, and clients that trust it
//! - [`proposing`]: a node that proposes a file; [`rollouts`]: a fleet that gets changes in stages; [`tree_observer`]: what nodes had meanwhile, and when
//! - [`law`], [`disk`] and [`auditor`]: the log, a node's disk and an export, read by hand
//! - [`skipped`]: what a test could not do here
#![expect(missing_docs, reason = "a test reads them beside their use")]
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

pub mod agent;
pub mod asker;
pub mod auditor;
pub mod backends;
pub mod certificates;
pub mod cluster;
pub mod disk;
pub mod eventually;
pub mod fake_server;
pub mod fleet;
pub mod http_api;
pub mod law;
pub mod load;
pub mod nats;
pub mod nats_cluster;
pub mod programs;
pub mod proposing;
pub mod proxy;
pub mod raw_nats;
pub mod rollouts;
pub mod skipped;
pub mod tree_observer;
