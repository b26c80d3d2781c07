//! The `headwater-edge` program: the agent of one node alone, for machines that run nothing else of Headwater.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use headwater_agent::options::EdgeCommand;
use program::exit::{CommandFailure, ExitClass, conclude};
use program::telemetry;

/// The agent of one Headwater node: it watches what is desired of the node, verifies it, applies it, and reports what runs.
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

/// How long threads that are still busy are waited for once all is done or given up.
const ENDED_WITHIN: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    conclude("headwater-edge", run(arguments.command))
}

fn run(command: EdgeCommand) -> Result<(), CommandFailure> {
    telemetry::init().map_err(|error| CommandFailure::of(ExitClass::Usage, error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CommandFailure::refused)?;
    let ended = runtime.block_on(headwater_agent::command::run(command));
    // Looking a name up runs on a thread of its own, which nobody waits for any more.
    runtime.shutdown_timeout(ENDED_WITHIN);
    ended
}
