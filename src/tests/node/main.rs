//! The laws of a node, on a real nats-server. The test plays the server.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

mod clock;
mod connection;
mod drift;
mod folder;
mod hooks;
mod records;
mod runtime;
mod status;

use testkit::agent::{Agent, be_agent};
use testkit::fake_server::FakeServer;
use testkit::nats::Server;

/// A process of its own for the tests that kill agents.
#[test]
#[ignore = "it is started by other tests"]
fn agent_process() {
    be_agent();
}

/// Content that does not compress into a pattern, so that a chunk in the wrong place is seen.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..bytes).map(|_| random.u8(..)).collect()
}

async fn both() -> (Server, FakeServer, Agent) {
    let nats = Server::start();
    let server = FakeServer::at(&nats).await;
    let agent = Agent::start(&nats.url(), &["--trust", &server.trust()]);
    (nats, server, agent)
}
