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

mod kills;
mod leases;
mod runs;

use headwater::edge;
use tokio_util::sync::CancellationToken;

/// A process of its own for the tests that kill runtimes.
#[test]
#[ignore = "it is started by other tests"]
fn agent_process() {
    let Ok(arguments) = std::env::var(agent::ARGUMENTS) else { return };
    let options = agent::options(&arguments.lines().collect::<Vec<_>>());
    headwater::telemetry::begin();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(edge::run(options, CancellationToken::new())).unwrap();
}
