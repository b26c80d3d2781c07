//! The program `headwater-edge`: only the agent, for machines that run nothing else of Headwater.

use std::process::ExitCode;

use clap::Parser;
use headwater_agent::options::EdgeCommand;
use program::exit::{AFTER_HELP, CommandFailure, ExitClass, conclude, run_to_end};
use program::telemetry;
use tokio::runtime::Builder;

/// The agent of one Headwater node: it watches the node's desired record, verifies it, applies it, and reports what runs.
///
/// It is the same code as `headwater edge`, without the server.
#[derive(Parser)]
#[command(name = "headwater-edge", version, propagate_version = true, after_help = AFTER_HELP)]
struct Arguments {
    #[command(flatten)]
    command: EdgeCommand,
}

fn main() -> ExitCode {
    tls::provider::install();
    let arguments = Arguments::parse();
    conclude("headwater-edge", run(arguments.command))
}

fn run(command: EdgeCommand) -> Result<(), CommandFailure> {
    telemetry::init().map_err(|error| CommandFailure::of(ExitClass::Usage, error))?;
    run_to_end(&mut Builder::new_multi_thread(), headwater_agent::command::run(command))
}
