//! The program `headwater-edge`: only the agent, for machines that run nothing else of Headwater.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use headwater_agent::options::EdgeCommand;
use program::exit::{CommandFailure, ExitClass, conclude};
use program::telemetry;

/// The agent of one Headwater node: it watches the node's desired record, verifies it, applies it, and reports what runs.
///
/// It is the same code as `headwater edge`, without the server.
#[derive(Parser)]
#[command(name = "headwater-edge", version, propagate_version = true, after_help = AFTER_HELP)]
struct Arguments {
    #[command(flatten)]
    command: EdgeCommand,
}

const AFTER_HELP: &str = "Every flag can also be given as the HEADWATER_* variable that its help names.\n\
                          HEADWATER_LOG sets how much is logged (debug, info, warn); HEADWATER_LOG_FORMAT=json for machines.\n\
                          Exit codes: 0 done, 1 refused or diverged, 2 usage, 3 could not reach something, or write the output.";

/// How long the process waits at its end for threads that are still busy.
const ENDED_WITHIN: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    conclude("headwater-edge", run(arguments.command))
}

fn run(command: EdgeCommand) -> Result<(), CommandFailure> {
    telemetry::init().map_err(|error| CommandFailure::of(ExitClass::Usage, error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CommandFailure::refused)?;
    let ended = runtime.block_on(headwater_agent::command::run(command));
    // A DNS lookup runs on a blocking thread and can't be cancelled; the process does not wait for it.
    runtime.shutdown_timeout(ENDED_WITHIN);
    ended
}
